#include "tools/http/open_file.h"

#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/tools/http/document_tree.h"

namespace http {
namespace {

constexpr timespec kNow{1'700'000'100, 500};

FileVersion settled() {
  return {0x1234, {1'700'000'000, 1}, {1'700'000'001, 2}, 7, 8};
}

TEST(FileVersion, GivesASettledFileAStrongTag) {
  EXPECT_EQ(settled().entity_tag(kNow), "\"1234-6553f100.1-6553f101.2\"");
}

TEST(FileVersion, GivesEveryChangeAnotherTag) {
  FileVersion size = settled();
  ++size.size;
  FileVersion modified = settled();
  ++modified.modified.tv_nsec;
  FileVersion changed = settled();
  ++changed.changed.tv_nsec;
  for (const FileVersion& other : {size, modified, changed}) {
    EXPECT_NE(other, settled());
    EXPECT_NE(other.entity_tag(kNow), settled().entity_tag(kNow));
  }
}

TEST(FileVersion, TellsNobodyTheInode) {
  FileVersion other = settled();
  ++other.inode;
  EXPECT_NE(other, settled());
  EXPECT_EQ(other.entity_tag(kNow), settled().entity_tag(kNow));
}

struct Age {
  timespec now;
  bool strong;
};

TEST(FileVersion, IsWeakWhileAnotherWriteMayBearTheSameTime) {
  const FileVersion file = settled();
  const Age ages[] = {
      {file.changed, false},
      {{file.changed.tv_sec + 2, file.changed.tv_nsec - 1}, false},
      {{file.changed.tv_sec + 2, file.changed.tv_nsec}, false},
      {{file.changed.tv_sec + 2, file.changed.tv_nsec + 1}, true},
      {{file.changed.tv_sec + 3, 0}, true},
      {{file.changed.tv_sec - 3600, 0}, false},  // the clock was set back
  };
  for (const Age& age : ages) {
    const std::string tag = file.entity_tag(age.now);
    EXPECT_EQ(tag.rfind("W/\"", 0) != 0, age.strong) << tag;
  }
}

TEST(FileVersion, SharesNoCharactersBetweenItsWeakAndItsStrongTag) {
  // Weak comparison looks at the characters alone.
  const std::string weak = settled().entity_tag(settled().changed);
  EXPECT_NE(weak, "W/" + settled().entity_tag(kNow));
  EXPECT_EQ(weak, "W/\"1234-6553f100.1-6553f101.2-w\"");
}

TEST(FileVersion, KeepsOldAndForgedTimesApart) {
  FileVersion before_epoch = settled();
  before_epoch.modified = {-1, 999'999'999};
  EXPECT_EQ(before_epoch.entity_tag(kNow), "\"1234-ffffffffffffffff.3b9ac9ff-6553f101.2\"");
}

TEST(FileVersion, WasNeverModifiedInTheFuture) {
  FileVersion file = settled();
  EXPECT_EQ(file.last_modified(kNow), 1'700'000'000);
  file.modified.tv_sec = kNow.tv_sec + 3600;
  EXPECT_EQ(file.last_modified(kNow), kNow.tv_sec);
}

class OpenFileChanged : public DocumentTree {
 protected:
  [[nodiscard]] OpenFile open_file(std::string_view name) const {
    ktls::UniqueFd fd(::open(at(name).c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    EXPECT_EQ(::fstat(fd.get(), &status), 0);
    return {std::move(fd), FileVersion::of(status), std::string(name)};
  }
};

TEST_F(OpenFileChanged, IsFalseWhileNobodyWrites) {
  file("a", "one");
  const OpenFile open = open_file("a");
  EXPECT_EQ(open.version.size, 3U);
  EXPECT_FALSE(open.changed());
}

TEST_F(OpenFileChanged, IsTrueAfterAnAppendATruncationAndATouch) {
  file("a", "one");
  set_modified("a", {1'600'000'000, 5});
  const OpenFile first = open_file("a");
  EXPECT_EQ(first.version.modified.tv_nsec, 5);
  ASSERT_EQ(::truncate(at("a").c_str(), 10), 0);
  EXPECT_TRUE(first.changed());

  const OpenFile second = open_file("a");
  EXPECT_FALSE(second.changed());
  set_modified("a", {1'600'000'000, 6});
  EXPECT_TRUE(second.changed());
}

TEST_F(OpenFileChanged, SeesAWriteWhoseModificationTimeWasPutBack) {
  file("a", "one");
  set_modified("a", {1'600'000'000, 5});
  const OpenFile open = open_file("a");
  ::usleep(50'000);  // longer than a tick of the clock that stamps files
  file("a", "two");
  set_modified("a", {1'600'000'000, 5});
  EXPECT_TRUE(open.changed());
  EXPECT_EQ(open_file("a").version.size, open.version.size);
  EXPECT_NE(open_file("a").version.entity_tag(kNow), open.version.entity_tag(kNow));
}

TEST_F(OpenFileChanged, IsTrueOfWhatCannotBeLookedAt) {
  file("a", "one");
  OpenFile open = open_file("a");
  open.fd.reset();
  EXPECT_TRUE(open.changed());
}

}  // namespace
}  // namespace http
