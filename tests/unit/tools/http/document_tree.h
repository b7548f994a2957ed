// DocumentTree: a directory of files for one test, which goes with it.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace http {

class DocumentTree : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(root_.data()), nullptr); }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] std::string at(std::string_view name) const {
    return root_ + "/" + std::string(name);
  }
  // NOLINTNEXTLINE(modernize-use-nodiscard): called for what it does
  std::string file(std::string_view name, std::string_view content = "content") const {
    std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
    std::ofstream(at(name), std::ios::binary) << content;
    return at(name);
  }
  void directory(std::string_view name) const { std::filesystem::create_directories(at(name)); }
  void link(std::string_view target, std::string_view name) const {
    std::filesystem::create_symlink(target, at(name));
  }
  void set_modified(std::string_view name, timespec modified) const {
    const timespec times[2] = {modified, modified};
    ASSERT_EQ(::utimensat(AT_FDCWD, at(name).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }

 private:
  std::string root_ = testing::TempDir() + "ktls-http-XXXXXX";
};

}  // namespace http
