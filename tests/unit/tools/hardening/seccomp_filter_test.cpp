// What the filter lets through, what it refuses, and for what it kills.

#include "tools/hardening/seccomp_filter.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/tools/hardening/in_child.h"

namespace tools {
namespace {

int filtered(const std::function<bool()>& claim) {
  return in_child([&claim] { return install_seccomp_filter() && claim(); });
}

bool is_refused(long result) {
  return result < 0 && errno == ENOSYS;
}

TEST(SeccompFilter, LetsThroughWhatServingTakes) {
  EXPECT_EQ(filtered([] {
              const int file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
              char byte = 0;
              int ends[2];
              return ::read(file, &byte, 1) == 1 && ::close(file) == 0 && ::pipe(ends) == 0 &&
                     ::socket(AF_INET, SOCK_STREAM, 0) >= 0 &&
                     ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
            }),
            0);
}

TEST(SeccompFilter, LetsThreadsBeMadeAndHoldsForThem) {
  EXPECT_EQ(
      filtered([] {
        bool refused = false;
        std::thread([&refused] { refused = is_refused(::socket(AF_PACKET, SOCK_RAW, 0)); }).join();
        return refused;
      }),
      0);
}

TEST(SeccompFilter, HoldsForThreadsThatWereThereBefore) {
  EXPECT_EQ(in_child([] {
              std::atomic<int> step{0};
              bool refused = false;
              std::thread before([&] {
                step = 1;
                while (step != 2) std::this_thread::yield();
                refused = is_refused(::socket(AF_PACKET, SOCK_RAW, 0));
              });
              while (step != 1) std::this_thread::yield();
              const bool installed = install_seccomp_filter().has_value();
              step = 2;
              before.join();
              return installed && refused;
            }),
            0);
}

// What a newer library may try and do without.
TEST(SeccompFilter, RefusesOtherCallsAsIfTheKernelHadNone) {
  EXPECT_EQ(filtered([] {
              return is_refused(::syscall(SYS_clone3, nullptr, 0)) &&
                     is_refused(::syscall(SYS_io_uring_setup, 1, nullptr)) &&
                     is_refused(::setuid(0)) && is_refused(::mkdirat(AT_FDCWD, "/nowhere/x", 0700));
            }),
            0);
}

TEST(SeccompFilter, RefusesArgumentsThatServingDoesNotUse) {
  EXPECT_EQ(filtered([] {
              const rlimit limit{.rlim_cur = 0, .rlim_max = 0};
              void* const code =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return code == MAP_FAILED && is_refused(::kill(::getppid(), 0)) &&
                     is_refused(::setrlimit(RLIMIT_CORE, &limit)) &&
                     is_refused(::socket(AF_ALG, SOCK_SEQPACKET, 0));
            }),
            0);
}

TEST(SeccompFilter, LetsMemoryBeMappedThatIsNoCode) {
  EXPECT_EQ(filtered([] {
              void* const data =
                  ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return data != MAP_FAILED && ::mprotect(data, 4096, PROT_READ) == 0;
            }),
            0);
}

TEST(SeccompFilter, KillsWhoeverExecutesForksOrTraces) {
  const auto killed_by = [](const std::function<bool()>& claim) {
    const int status = filtered(claim);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  EXPECT_EQ(killed_by([] {
              char* const nothing[] = {nullptr};
              return ::execve("/bin/true", nothing, nothing) == 0;
            }),
            SIGSYS);
  EXPECT_EQ(killed_by([] { return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }), SIGSYS);
  EXPECT_EQ(killed_by([] { return ::ptrace(PTRACE_TRACEME, 0, 0, 0) == 0; }), SIGSYS);
}

TEST(SeccompFilter, LetsAnAbortEndTheProcessAsEver) {
  const int status = filtered([] {
    std::signal(SIGABRT, SIG_DFL);
    ::raise(SIGABRT);
    return true;
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

}  // namespace
}  // namespace tools
