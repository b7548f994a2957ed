// Where io_uring is refused: as containers do it, by a seccomp filter.

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace bridge {
namespace {

// From now on `call` fails with `sys_errno` in this process.
bool refuse(long call, int sys_errno) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(call), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(sys_errno)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// Runs `body` in a child process; its exit status.
template <class Body>
int status_of_child(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// What a child does after io_uring's `call` was refused; 0: all as it should be.
int run_without(long call, int sys_errno) {
  if (!refuse(call, sys_errno)) return 1;
  const auto asked_for = Loop::create(LoopKind::kIoUring);
  if (asked_for || asked_for.error().code != ErrorCode::kSystem) return 2;
  const auto loop = Loop::create();
  if (!loop || (*loop)->kind() != LoopKind::kEpoll) return 3;
  const std::string& why = (*loop)->why();
  if (why.find("io_uring") == std::string::npos) return 4;
  if (why.find(std::strerror(sys_errno)) == std::string::npos) return 5;
  const auto story = [&]() -> Task<void> {
    Scope scope(**loop);
    const Result<void> slept = co_await (*loop)->sleep(scope, milliseconds(1));
    if (slept) (*loop)->stop();
  };
  (*loop)->spawn(story());
  return (*loop)->run() ? 0 : 6;
}

TEST(Refusal, OfSettingUpARingMakesALoopOnEpollThatSaysWhy) {
  for (const int sys_errno : {EPERM, ENOSYS, ENOMEM}) {
    EXPECT_EQ(status_of_child([&] { return run_without(__NR_io_uring_setup, sys_errno); }), 0);
  }
}

TEST(Refusal, OfUsingARingMakesALoopOnEpollThatSaysWhy) {
  if (!Loop::create(LoopKind::kIoUring)) GTEST_SKIP() << "io_uring is refused already";
  EXPECT_EQ(status_of_child([] { return run_without(__NR_io_uring_enter, EPERM); }), 0);
  EXPECT_EQ(status_of_child([] { return run_without(__NR_io_uring_register, EPERM); }), 0);
}

TEST(Refusal, IsNoneWhereIoUringWorks) {
  const auto ring = Loop::create(LoopKind::kIoUring);
  const auto any = Loop::create();
  ASSERT_TRUE(any);
  EXPECT_EQ((*any)->kind(), ring ? LoopKind::kIoUring : LoopKind::kEpoll);
  EXPECT_EQ((*any)->why().empty(), ring.has_value());
}

}  // namespace
}  // namespace bridge
