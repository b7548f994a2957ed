// system_calls(): the loopback pair, and errno passed on.
#include "ktls/core/syscalls.h"

#include <array>
#include <cerrno>
#include <filesystem>
#include <iterator>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ktls {
namespace {

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator fds("/proc/self/fd");
  return std::distance(begin(fds), end(fds));
}

TEST(SystemCalls, MakeATcpPairThatCarriesBytesBothWays) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(system_calls().tcp_pair(fds), 0);
  for (const int from : {0, 1}) {
    const char sent = static_cast<char>('a' + from);
    ASSERT_EQ(::write(fds[from], &sent, 1), 1);
    char received = 0;
    ASSERT_EQ(::fcntl(fds[1 - from], F_SETFL, 0), 0);  // blocking, so that the byte is awaited
    ASSERT_EQ(::read(fds[1 - from], &received, 1), 1);
    EXPECT_EQ(received, sent);
  }
  for (const int fd : fds) EXPECT_EQ(system_calls().close(fd), 0);
}

TEST(SystemCalls, MakeATcpPairThatIsNonBlockingAndClosedOnExec) {
  int fds[2] = {-1, -1};
  ASSERT_EQ(system_calls().tcp_pair(fds), 0);
  for (const int fd : fds) {
    int protocol = 0;
    socklen_t size = sizeof protocol;
    ASSERT_EQ(system_calls().getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size), 0);
    EXPECT_EQ(protocol, IPPROTO_TCP);
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(system_calls().close(fd), 0);
  }
}

TEST(SystemCalls, LeaveNoDescriptorBehindAtAnyLimitOfOpenFiles) {
  const auto before = open_descriptors();
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old_limit), 0);
  const int next = ::dup(0);  // the lowest free number: limits are compared with it
  ASSERT_GE(next, 0);
  ::close(next);
  // A pair needs three at most: the listener and two ends.
  for (rlim_t room = 0; room < 3; ++room) {
    rlimit limit = old_limit;
    limit.rlim_cur = static_cast<rlim_t>(next) + room;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    int fds[2] = {-1, -1};
    const int made = system_calls().tcp_pair(fds);
    const int sys_errno = errno;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old_limit), 0);
    EXPECT_EQ(made, -1);
    EXPECT_EQ(sys_errno, EMFILE) << room;
    EXPECT_EQ(open_descriptors(), before);
  }
  int fds[2] = {-1, -1};
  ASSERT_EQ(system_calls().tcp_pair(fds), 0);
  for (const int fd : fds) EXPECT_EQ(system_calls().close(fd), 0);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(SystemCalls, AnswerWithTheErrnoOfTheSystem) {
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(system_calls().getsockopt(-1, SOL_SOCKET, SO_ERROR, &value, &size), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(system_calls().setsockopt(-1, SOL_SOCKET, SO_KEEPALIVE, &value, size), -1);
  EXPECT_EQ(errno, EBADF);
  msghdr message{};
  EXPECT_EQ(system_calls().sendmsg(-1, &message, 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(system_calls().recvmsg(-1, &message, 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(system_calls().close(-1), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace ktls
