// PipePool: sizes, reuse and limits.

#include "userspace/io/pipe.h"

#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bridge {
namespace {

using ktls::ErrorCode;
using ktls::Result;

TEST(PipePool, LeasesPipesLargeEnoughForKtls) {
  PipePool pool;
  const Result<Pipe> pipe = pool.lease();
  ASSERT_TRUE(pipe) << pipe.error().message();
  EXPECT_GE(pipe->capacity(), kPipeSizeMin);
  EXPECT_EQ(::fcntl(pipe->read_end(), F_GETPIPE_SZ), static_cast<int>(pipe->capacity()));
  for (const int end : {pipe->read_end(), pipe->write_end()}) {
    EXPECT_NE(::fcntl(end, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(end, F_GETFD) & FD_CLOEXEC, 0);
  }
}

TEST(PipePool, UsesAnEmptyPipeAgain) {
  PipePool pool;
  Result<Pipe> pipe = pool.lease();
  ASSERT_TRUE(pipe);
  const int read_end = pipe->read_end();
  pipe->reset();
  EXPECT_FALSE(pipe->valid());
  EXPECT_EQ(pool.leased(), 0U);
  EXPECT_EQ(pool.idle(), 1U);
  const Result<Pipe> again = pool.lease();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->read_end(), read_end);
  EXPECT_EQ(pool.idle(), 0U);
}

TEST(PipePool, ClosesAPipeThatStillHoldsBytes) {
  PipePool pool;
  Result<Pipe> pipe = pool.lease();
  ASSERT_TRUE(pipe);
  const int read_end = pipe->read_end();
  ASSERT_EQ(::write(pipe->write_end(), "x", 1), 1);
  pipe->reset();
  EXPECT_EQ(pool.idle(), 0U);
  EXPECT_EQ(::fcntl(read_end, F_GETFD), -1);
}

TEST(PipePool, LeasesNoMoreThanItsLimitAndKeepsABoundedNumber) {
  PipePool pool(kIdlePipesMax + 1);
  std::vector<Pipe> pipes;
  for (std::size_t i = 0; i < kIdlePipesMax + 1; ++i) {
    Result<Pipe> pipe = pool.lease();
    ASSERT_TRUE(pipe) << pipe.error().message();
    pipes.push_back(std::move(*pipe));
  }
  const Result<Pipe> none = pool.lease();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kLimitReached);
  pipes.clear();
  EXPECT_EQ(pool.leased(), 0U);
  EXPECT_EQ(pool.idle(), kIdlePipesMax);
}

// The body of a child process: leases as nobody until the allowance of pipe pages is used up.
// Exit status 0: the last answer was kLimitReached, after leases that were all large enough.
int exhaust_allowance() {
  constexpr uid_t kNobody = 65534;
  if (::setuid(kNobody) != 0) return 2;
  PipePool pool(100'000);
  std::vector<Pipe> pipes;
  for (;;) {
    Result<Pipe> pipe = pool.lease();
    if (!pipe) {
      const bool limit = pipe.error().code == ErrorCode::kLimitReached;
      return limit && pipe.error().sys_errno == EPERM && !pipes.empty() ? 0 : 3;
    }
    if (pipe->capacity() < kPipeSizeMin) return 4;
    pipes.push_back(std::move(*pipe));
  }
}

TEST(PipePool, SaysThatTheUsersAllowanceOfPipePagesIsUsedUp) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user without pipes";
  std::size_t pages = 0;
  std::ifstream("/proc/sys/fs/pipe-user-pages-soft") >> pages;
  if (pages == 0) GTEST_SKIP() << "there is no allowance here";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(exhaust_allowance());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bridge
