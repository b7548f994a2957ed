// What is left of files, TCP and signals.

#include "tools/hardening/landlock.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tests/unit/tools/hardening/in_child.h"

namespace tools {
namespace {

constexpr int kVersionWithNetwork = 4;
constexpr int kVersionWithSignals = 6;

class Landlock : public testing::Test {
 protected:
  void SetUp() override {
    if (landlock_version() == 0) GTEST_SKIP() << "this kernel has no Landlock";
    std::string name = testing::TempDir() + "landlock.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    for (const char* each : {"read", "append", "remove", "other"}) {
      std::filesystem::create_directory(root_ / each);
      std::ofstream(root_ / each / "file") << each;
    }
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  [[nodiscard]] FileRules rules() const {
    return {.read_below = {root_ / "read"},
            .append_below = {root_ / "append"},
            .remove_below = {root_ / "remove"},
            .connect_ports = {}};
  }
  // errno of opening a file below `root_`, 0 if that worked.
  [[nodiscard]] int opening(const char* path, int flags) const {
    const ktls::UniqueFd fd(::open((root_ / path).c_str(), flags | O_CLOEXEC, 0600));
    return fd ? 0 : errno;
  }
  [[nodiscard]] static int restricted(const FileRules& rules, const auto& claim) {
    return in_child(
        [&] { return restrict_files(rules, landlock_version()).has_value() && claim(); });
  }

  std::filesystem::path root_;
};

TEST_F(Landlock, ReadsWhatWasNamedAndNothingElse) {
  EXPECT_EQ(restricted(rules(),
                       [this] {
                         return opening("read/file", O_RDONLY) == 0 &&
                                opening("other/file", O_RDONLY) == EACCES &&
                                opening("append/file", O_RDONLY) == EACCES;
                       }),
            0);
}

// A rule is about the directory, so that it holds for what is put there by rename(2), as new
// certificates are.
TEST_F(Landlock, ReadsWhatTakesThePlaceOfAFileLater) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  char byte = 'x';
  const pid_t child = ::fork();
  if (child == 0) {
    const bool restricted = restrict_files(rules(), landlock_version()).has_value();
    const bool told = ::write(ends[1], &byte, 1) == 1 && ::read(ends[1], &byte, 1) == 1;
    ::_exit(restricted && told && opening("read/file", O_RDONLY) == 0 ? 0 : 1);
  }
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  std::ofstream(root_ / "beside") << "new";
  std::filesystem::rename(root_ / "beside", root_ / "read" / "file");
  ASSERT_EQ(::write(ends[0], &byte, 1), 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  for (const int each : ends) ::close(each);
}

TEST_F(Landlock, WritesNothingButLogs) {
  EXPECT_EQ(restricted(rules(),
                       [this] {
                         return opening("append/new", O_WRONLY | O_CREAT | O_APPEND) == 0 &&
                                opening("read/file", O_WRONLY) == EACCES &&
                                opening("other/new", O_WRONLY | O_CREAT) == EACCES;
                       }),
            0);
}

TEST_F(Landlock, RemovesSocketFilesAlone) {
  EXPECT_EQ(restricted(rules(),
                       [this] {
                         return ::unlink((root_ / "remove/file").c_str()) == 0 &&
                                ::unlink((root_ / "read/file").c_str()) != 0 && errno == EACCES;
                       }),
            0);
}

TEST_F(Landlock, ExecutesNothing) {
  EXPECT_EQ(
      restricted({.read_below = {"/"}, .append_below = {}, .remove_below = {}, .connect_ports = {}},
                 [] {
                   char* const nothing[] = {nullptr};
                   return ::execve("/bin/true", nothing, nothing) != 0 && errno == EACCES;
                 }),
      0);
}

TEST_F(Landlock, PassesOverAPathThatIsNotThere) {
  FileRules with_more = rules();
  with_more.read_below.push_back(root_ / "nowhere");
  EXPECT_EQ(restricted(with_more, [this] { return opening("read/file", O_RDONLY) == 0; }), 0);
}

TEST_F(Landlock, NamesOneFileAlone) {
  FileRules one = rules();
  one.read_below = {root_ / "other/file"};
  EXPECT_EQ(restricted(one,
                       [this] {
                         return opening("other/file", O_RDONLY) == 0 &&
                                opening("read/file", O_RDONLY) == EACCES;
                       }),
            0);
}

TEST_F(Landlock, ConnectsToTheNamedPortAndListensOnNone) {
  if (landlock_version() < kVersionWithNetwork) GTEST_SKIP() << "version 4 knows of TCP";
  const ktls::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), name, size), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ASSERT_EQ(::getsockname(listener.get(), name, &size), 0);
  const auto connecting = [&] {
    const ktls::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(socket.get(), name, size) == 0 ? 0 : errno;
  };
  FileRules one = rules();
  one.connect_ports = {::ntohs(address.sin_port)};
  EXPECT_EQ(restricted(one, [&] { return connecting() == 0; }), 0);
  EXPECT_EQ(restricted(rules(), [&] { return connecting() == EACCES; }), 0);
  EXPECT_EQ(restricted(one,
                       [&] {
                         const ktls::UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
                         return ::bind(socket.get(), name, size) != 0 && errno == EACCES;
                       }),
            0);
}

TEST_F(Landlock, SignalsNobodyOutside) {
  if (landlock_version() < kVersionWithSignals) GTEST_SKIP() << "version 6 knows of signals";
  EXPECT_EQ(restricted(rules(), [] { return ::kill(::getppid(), 0) != 0 && errno == EPERM; }), 0);
}

// Of any version, as an older kernel would have it.
TEST_F(Landlock, HoldsInEachVersionThatThisKernelHas) {
  for (int version = 1; version <= landlock_version(); ++version) {
    EXPECT_EQ(in_child([&] {
                return restrict_files(rules(), version).has_value() &&
                       opening("other/file", O_RDONLY) == EACCES;
              }),
              0)
        << version;
  }
}

}  // namespace
}  // namespace tools
