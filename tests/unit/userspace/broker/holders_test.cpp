// Holders: children that have a socket are found, stand still and go on; who is traced, or stood
// still before, is left alone.
#include "userspace/broker/holders.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace broker {
namespace {

using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

constexpr std::chrono::seconds kPatience{20};
constexpr std::chrono::milliseconds kPoll{2};

enum class Keeps : bool { kNothing, kSocket };

// A process in a group of its own, or in that of `group`, that does nothing.
class Child {
 public:
  Child(int socket, Keeps keeps, pid_t group = 0) {
    int ready[2] = {-1, -1};
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) run(socket, keeps, group, ready[1]);
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Waits until it stands still, or goes on.
  [[nodiscard]] bool is_reported(int options) const {
    int status = 0;
    return ::waitpid(pid_, &status, options) == pid_;
  }

 private:
  [[noreturn]] static void run(int socket, Keeps keeps, pid_t group, int ready) {
    ::setpgid(0, group);
    if (keeps == Keeps::kNothing) ::close(socket);
    if (::write(ready, "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }

  pid_t pid_ = 0;
};

struct HoldersTest : testing::Test {
  HoldersTest() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours.reset(ends[0]);
    other.reset(ends[1]);
  }

  static Result<bool> stop_in_time(Holders& holders) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      auto still = holders.stop();
      if (!still || *still || std::chrono::steady_clock::now() > deadline) return still;
      std::this_thread::sleep_for(kPoll);
    }
  }

  UniqueFd ours;
  UniqueFd other;
};

TEST_F(HoldersTest, NobodyOfAGroupHoldsASocketOnceAllHaveEndedOrClosedIt) {
  Child first(ours.get(), Keeps::kSocket);
  const Holders holders(ours.get(), first.pid());
  EXPECT_TRUE(holders.any_in_group());
  Child second(ours.get(), Keeps::kSocket, first.pid());
  Child without(ours.get(), Keeps::kNothing, first.pid());
  first.end();
  EXPECT_TRUE(holders.any_in_group());
  second.end();
  EXPECT_FALSE(holders.any_in_group());
}

TEST_F(HoldersTest, OtherGroupsAndOtherSocketsDoNotCount) {
  const Child elsewhere(ours.get(), Keeps::kSocket);
  const Child without(ours.get(), Keeps::kNothing);
  EXPECT_FALSE(Holders(ours.get(), without.pid()).any_in_group());
  EXPECT_TRUE(Holders(other.get(), without.pid()).any_in_group()) << "it was inherited, too";
}

TEST_F(HoldersTest, StopsEachWhoHasTheSocketWhateverItsGroupAndNobodyElse) {
  const Child first(ours.get(), Keeps::kSocket);
  const Child second(ours.get(), Keeps::kSocket);
  const Child without(ours.get(), Keeps::kNothing);
  Holders holders(ours.get(), first.pid());
  const auto still = stop_in_time(holders);
  ASSERT_TRUE(still) << still.error().message();
  EXPECT_TRUE(*still);
  EXPECT_TRUE(first.is_reported(WUNTRACED));
  EXPECT_TRUE(second.is_reported(WUNTRACED));
  EXPECT_FALSE(without.is_reported(WUNTRACED | WNOHANG));
  holders.resume();
  EXPECT_TRUE(first.is_reported(WCONTINUED));
  EXPECT_TRUE(second.is_reported(WCONTINUED));
}

TEST_F(HoldersTest, LeavesAProcessStoppedThatSomebodyElseHasStopped) {
  const Child child(ours.get(), Keeps::kSocket);
  ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
  ASSERT_TRUE(child.is_reported(WUNTRACED));
  Holders holders(ours.get(), child.pid());
  const auto still = stop_in_time(holders);
  ASSERT_TRUE(still) << still.error().message();
  EXPECT_TRUE(*still);
  holders.resume();
  EXPECT_FALSE(child.is_reported(WCONTINUED | WNOHANG));
}

TEST_F(HoldersTest, LetsGoOfThemWhenItIsDestroyed) {
  const Child child(ours.get(), Keeps::kSocket);
  {
    Holders holders(ours.get(), child.pid());
    const auto still = stop_in_time(holders);
    ASSERT_TRUE(still) << still.error().message();
    ASSERT_TRUE(child.is_reported(WUNTRACED));
  }
  EXPECT_TRUE(child.is_reported(WCONTINUED));
}

TEST_F(HoldersTest, RefusesWhereOneIsTracedWhomItsTracerMayHaveGoOn) {
  const Child child(ours.get(), Keeps::kSocket);
  if (::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr) != 0) {
    GTEST_SKIP() << "tracing is not allowed here, errno " << errno;
  }
  Holders holders(ours.get(), child.pid());
  const auto still = stop_in_time(holders);
  ASSERT_FALSE(still);
  EXPECT_EQ(still.error().code, ErrorCode::kRekeyImpossible);
  EXPECT_NE(still.error().detail.find("traced"), std::string::npos);
}

std::uint64_t inode_of(int fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd, &status), 0);
  return status.st_ino;
}

bool is_held(int fd) {
  return !held_among({inode_of(fd)}).empty();
}

TEST_F(HoldersTest, TellsWhetherAnotherProcessHasTheSocket) {
  EXPECT_FALSE(is_held(ours.get()));
  {
    const Child holder(ours.get(), Keeps::kSocket);
    EXPECT_TRUE(is_held(ours.get()));
  }
  EXPECT_FALSE(is_held(ours.get()));
}

TEST_F(HoldersTest, TellsOfManySocketsAtOnceWhichOthersHave) {
  const std::uint64_t kept = inode_of(ours.get());
  const std::uint64_t alone = inode_of(other.get());
  const UniqueFd third(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::uint64_t third_kept = inode_of(third.get());
  EXPECT_TRUE(held_among({kept, alone, third_kept}).empty());
  const Child holder(other.get(), Keeps::kNothing);  // it has the two others
  EXPECT_EQ(held_among({kept, alone, third_kept}), (std::set<std::uint64_t>{kept, third_kept}));
  EXPECT_EQ(held_among({kept, third_kept}), (std::set<std::uint64_t>{kept, third_kept}));
  EXPECT_TRUE(held_among({alone}).empty());
  EXPECT_TRUE(held_among({}).empty());
}

// To the least number, while its descriptors are being read.
TEST_F(HoldersTest, FindsASocketThatItsHolderMovesMeanwhile) {
  constexpr int kRounds = 200;
  const UniqueFd high(::fcntl(ours.get(), F_DUPFD_CLOEXEC, 500));
  ASSERT_TRUE(high);
  for (int round = 0; round < kRounds; ++round) {
    int ready[2] = {-1, -1};
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t mover = ::fork();
    if (mover == 0) {
      ::close(ours.get());
      static_cast<void>(!::write(ready[1], "x", 1));
      const auto later = std::chrono::steady_clock::now() + std::chrono::microseconds(5 * round);
      while (std::chrono::steady_clock::now() < later) {
      }
      ::dup2(high.get(), STDIN_FILENO);
      ::close(high.get());
      for (;;) ::pause();
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    EXPECT_TRUE(is_held(ours.get())) << round;
    ::kill(mover, SIGKILL);
    ::waitpid(mover, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

TEST_F(HoldersTest, TakesADescendantThatHidesItsDescriptorsForAHolder) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  const pid_t looker = ::fork();
  if (looker == 0) {
    int ready[2] = {-1, -1};
    if (::pipe(ready) != 0 || ::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    ::prctl(PR_SET_DUMPABLE, 1);
    const UniqueFd own(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (is_held(own.get())) ::_exit(2);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(own.get());
      ::prctl(PR_SET_DUMPABLE, 0);
      static_cast<void>(!::write(ready[1], "x", 1));
      for (;;) ::pause();
    }
    char byte = 0;
    static_cast<void>(!::read(ready[0], &byte, 1));
    const bool seems_held = is_held(own.get());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::_exit(seems_held ? 7 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(looker, &status, 0), looker);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 7);
}

bool send_twice(int socket, int fd) {
  char byte = 'x';
  iovec part{&byte, 1};
  const int fds[2] = {fd, fd};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds, sizeof fds);
  return ::sendmsg(socket, &message, 0) == 1;
}

TEST_F(HoldersTest, CountsDescriptorsThatAreOnTheirWayToOthers) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd near(ends[0]);
  UniqueFd far(ends[1]);
  const Child one(far.get(), Keeps::kSocket);
  const Child another(far.get(), Keeps::kSocket);  // of one socket, which counts once
  far.reset();
  const UniqueFd sent(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));  // which they have not
  // Whatever else is on its way on this machine counts, too.
  const std::size_t before = descriptors_in_flight();
  ASSERT_TRUE(send_twice(near.get(), sent.get()));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::size_t more = 0;
  while (more != before + 2 && std::chrono::steady_clock::now() < deadline) {
    EXPECT_FALSE(is_held(sent.get()));
    more = descriptors_in_flight();
    if (more != before + 2) std::this_thread::sleep_for(kPoll);
  }
  EXPECT_EQ(more, before + 2);
}

TEST_F(HoldersTest, IsAtOnceStillWhereNobodyHasTheSocket) {
  Holders holders(ours.get(), ::getpid());
  const auto still = holders.stop();
  ASSERT_TRUE(still) << still.error().message();
  EXPECT_TRUE(*still);
}

}  // namespace
}  // namespace broker
