// When files count as changed: after what people and Kubernetes do to renew them.
#include "tools/ktls-bridge/file_changes.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace tools {
namespace {

namespace fs = std::filesystem;

class FileChangesIn : public testing::Test {
 protected:
  FileChangesIn() {
    std::string pattern = (fs::temp_directory_path() / "file-changes-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = pattern;
  }
  ~FileChangesIn() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void write(const fs::path& path, const std::string& content) const {
    std::ofstream(folder_ / path) << content;
  }
  void replace(const fs::path& path, const std::string& content) const {
    write("beside", content);
    fs::rename(folder_ / "beside", folder_ / path);
  }

  // After one look that sees it and one that sees nothing further.
  static void expect_change(FileChanges& changes) {
    EXPECT_FALSE(changes.have_settled());
    EXPECT_TRUE(changes.have_settled());
    EXPECT_FALSE(changes.have_settled());
  }

  fs::path folder_;
};

TEST_F(FileChangesIn, AFileThatStaysAsItIsHasNotChanged) {
  write("key", "one");
  FileChanges changes({folder_ / "key"});
  for (int look = 0; look < 3; ++look) EXPECT_FALSE(changes.have_settled());
}

TEST_F(FileChangesIn, AFileIsReplacedByARename) {
  write("key", "one");
  FileChanges changes({folder_ / "key"});
  replace("key", "two");  // of the same size
  expect_change(changes);
}

TEST_F(FileChangesIn, AFileIsWrittenInItsPlace) {
  write("key", "one");
  FileChanges changes({folder_ / "key"});
  write("key", "three");
  expect_change(changes);
}

TEST_F(FileChangesIn, AFileGoesAndComesBack) {
  write("key", "one");
  FileChanges changes({folder_ / "key"});
  fs::remove(folder_ / "key");
  expect_change(changes);
  write("key", "one");
  expect_change(changes);
}

TEST_F(FileChangesIn, AFileThatCouldNotBeReadGetsAnotherMode) {
  write("key", "one");
  fs::permissions(folder_ / "key", fs::perms::none);
  FileChanges changes({folder_ / "key"});
  fs::permissions(folder_ / "key", fs::perms::owner_read);
  expect_change(changes);
}

// A volume of Kubernetes: FILE is a link to ..data/FILE, and ..data one to a directory.
TEST_F(FileChangesIn, AMountedSecretIsPointedElsewhere) {
  for (const std::string version : {"..1", "..2"}) {
    fs::create_directory(folder_ / version);
    write(fs::path(version) / "key", "same");
  }
  fs::create_directory_symlink("..1", folder_ / "..data");
  fs::create_symlink("..data/key", folder_ / "key");
  FileChanges changes({folder_ / "key"});
  fs::create_directory_symlink("..2", folder_ / "..data_tmp");
  fs::rename(folder_ / "..data_tmp", folder_ / "..data");
  expect_change(changes);
}

TEST_F(FileChangesIn, SeveralFilesCountAsOneChangeWhenTheLastIsThere) {
  write("current", "one");
  write("previous", "none");
  FileChanges changes({folder_ / "current", folder_ / "previous"});
  fs::rename(folder_ / "current", folder_ / "previous");
  EXPECT_FALSE(changes.have_settled());
  write("current", "two");
  EXPECT_FALSE(changes.have_settled());
  EXPECT_TRUE(changes.have_settled());
  EXPECT_FALSE(changes.have_settled());
}

TEST_F(FileChangesIn, WhatDoesNotStandStillIsNotWaitedForForEver) {
  write("key", "");
  FileChanges changes({folder_ / "key"});
  std::size_t looks = 0;
  std::string content;
  do {
    write("key", content += "more");
    ++looks;
  } while (!changes.have_settled() && looks < 100);
  EXPECT_EQ(looks, FileChanges::kLooksMax);
}

// As of `--ticket-keys <(program)`.
TEST_F(FileChangesIn, APipeIsWrittenToWithoutAChange) {
  const fs::path path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const ktls::UniqueFd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  const ktls::UniqueFd writer(::open(path.c_str(), O_WRONLY));
  ASSERT_TRUE(reader && writer);
  FileChanges changes({path});
  ASSERT_EQ(::write(writer.get(), "key", 3), 3);
  for (int look = 0; look < 3; ++look) EXPECT_FALSE(changes.have_settled());
}

TEST_F(FileChangesIn, WhatIsNotedIsNoChangeAnyMore) {
  write("key", "one");
  FileChanges changes({folder_ / "key"});
  replace("key", "two");
  EXPECT_FALSE(changes.have_settled());
  changes.note();
  for (int look = 0; look < 3; ++look) EXPECT_FALSE(changes.have_settled());
}

}  // namespace
}  // namespace tools
