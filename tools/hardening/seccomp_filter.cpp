// The filter, made by libseccomp from tables of names.

#include "tools/hardening/seccomp_filter.h"

#include <array>
#include <cerrno>
#include <initializer_list>
#include <memory>
#include <string>

#include <linux/fs.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;

// With any arguments. Names that an architecture does not have are passed over.
constexpr auto kAllowed = std::to_array<const char*>({
    // Descriptors, and data by them
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "lseek",
    "dup",
    "dup2",
    "dup3",
    "fcntl",
    "pipe",
    "pipe2",
    "splice",
    "tee",
    "vmsplice",
    "sendfile",
    "eventfd",
    "eventfd2",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    // Files: which ones is Landlock's, and that of permissions
    "open",
    "openat",
    "openat2",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "statfs",
    "fstatfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "fadvise64",
    "fsync",
    "fdatasync",
    "unlink",
    "unlinkat",
    "umask",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    // Sockets; socket() itself stands below
    "connect",
    "accept",
    "accept4",
    "bind",
    "listen",
    "shutdown",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    "getsockname",
    "getpeername",
    "socketpair",
    "setsockopt",
    "getsockopt",
    // Waiting
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "io_uring_enter",
    "io_uring_register",
    // Memory; mmap() and mprotect() stand below
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "mlock",
    "mlock2",
    "munlock",
    "mincore",
    "membarrier",
    // Threads
    "futex",
    "futex_waitv",
    "set_robust_list",
    "set_tid_address",
    "rseq",
    "gettid",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "getcpu",
    "exit",
    "exit_group",
    // Signals of its own
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "sigaltstack",
    "restart_syscall",
    // Time, chance, and who it is
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "times",
    "getrandom",
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getgroups",
    "getresuid",
    "getresgid",
    "getrlimit",
    "getrusage",
    "uname",
    "sysinfo",
    "capget",
});

// No library does it unless it is told to, and nothing here tells it.
constexpr auto kDeadly = std::to_array<const char*>({
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "kcmp",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "add_key",
    "request_key",
    "keyctl",
    "open_by_handle_at",
    "iopl",
    "ioperm",
    "modify_ldt",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "personality",
});

struct Release {
  void operator()(void* context) const { seccomp_release(context); }
};
using Context = std::unique_ptr<void, Release>;

// libseccomp answers a negative errno.
Error error_of(int result, const std::string& what) {
  return Error::system(-result, "seccomp: " + what);
}

Result<void> add(const Context& filter, std::uint32_t action, const char* call,
                 std::initializer_list<scmp_arg_cmp> arguments = {}) {
  const int number = seccomp_syscall_resolve_name(call);
  if (number == __NR_SCMP_ERROR) return {};  // newer than the library
  const int added = seccomp_rule_add_array(
      filter.get(), action, number, static_cast<unsigned>(arguments.size()), arguments.begin());
  if (added == -EEXIST) return {};  // two names of one call
  if (added < 0) return ktls::fail(error_of(added, call));
  return {};
}

// One of the argument's values, each.
Result<void> allow_one_of(const Context& filter, const char* call, unsigned argument,
                          std::initializer_list<scmp_datum_t> values) {
  for (const scmp_datum_t value : values) {
    auto added = add(filter, SCMP_ACT_ALLOW, call, {SCMP_CMP(argument, SCMP_CMP_EQ, value)});
    if (!added) return added;
  }
  return {};
}

constexpr scmp_arg_cmp without(unsigned argument, scmp_datum_t flag) {
  return {argument, SCMP_CMP_MASKED_EQ, flag, 0};
}
constexpr scmp_arg_cmp with(unsigned argument, scmp_datum_t flag) {
  return {argument, SCMP_CMP_MASKED_EQ, flag, flag};
}

// A thread, but no process. Of clone3() the arguments are in memory, where no filter looks: another
// filter has it fail with ENOSYS, so that glibc takes clone(), and does not log that, since each
// thread begins with it.
Result<void> allow_threads(const Context& filter) {
  if (auto left = add(filter, SCMP_ACT_ALLOW, "clone3"); !left) return left;
  auto added = add(filter, SCMP_ACT_ALLOW, "clone", {with(0, CLONE_THREAD)});
  if (!added) return added;
  return add(filter, SCMP_ACT_KILL_PROCESS, "clone", {without(0, CLONE_THREAD)});
}

// No page becomes code.
Result<void> allow_memory(const Context& filter) {
  for (const char* const call : {"mmap", "mmap2", "mprotect"}) {
    auto added = add(filter, SCMP_ACT_ALLOW, call, {without(2, PROT_EXEC)});
    if (!added) return added;
  }
  return {};
}

// Not those that push characters into a terminal (TIOCSTI), nor those of devices.
Result<void> allow_ioctls(const Context& filter) {
  return allow_one_of(filter, "ioctl", 1,
                      {FIONREAD, FIONBIO, FIOCLEX, SIOCOUTQ, TCGETS, TIOCGWINSZ});
}

// SIGABRT to itself; its limits and its name, and nobody else's.
Result<void> allow_itself(const Context& filter) {
  const auto self = static_cast<scmp_datum_t>(::getpid());
  for (const char* const call : {"tgkill", "kill"}) {
    auto added = add(filter, SCMP_ACT_ALLOW, call, {SCMP_CMP(0, SCMP_CMP_EQ, self)});
    if (!added) return added;
  }
  auto added = add(filter, SCMP_ACT_ALLOW, "prlimit64", {SCMP_CMP(2, SCMP_CMP_EQ, 0)});
  if (!added) return added;
  return allow_one_of(filter, "prctl", 0,
                      {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
                       0x53564d41U /* PR_SET_VMA */});
}

Result<void> fill(const Context& filter) {
  for (const char* const call : kAllowed) {
    if (auto added = add(filter, SCMP_ACT_ALLOW, call); !added) return added;
  }
  for (const char* const call : kDeadly) {
    if (auto added = add(filter, SCMP_ACT_KILL_PROCESS, call); !added) return added;
  }
  // Netlink tells where a connection is encrypted.
  if (auto added = allow_one_of(filter, "socket", 0, {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK});
      !added) {
    return added;
  }
  for (const auto& allow : {allow_threads, allow_memory, allow_ioctls, allow_itself}) {
    if (auto added = allow(filter); !added) return added;
  }
  return {};
}

Result<void> load(const Context& filter, bool logs) {
  const int synchronized = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  if (synchronized < 0) return ktls::fail(error_of(synchronized, "all threads at once"));
  // Old kernels cannot log, and do without.
  if (logs) static_cast<void>(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_LOG, 1));
  // A tree instead of a list: it is asked before every call.
  static_cast<void>(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  const int loaded = seccomp_load(filter.get());
  if (loaded < 0) return ktls::fail(error_of(loaded, "load"));
  return {};
}

}  // namespace

Result<void> install_seccomp_filter() {
  const Context quiet(seccomp_init(SCMP_ACT_ALLOW));
  const Context filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!quiet || !filter) return ktls::fail(Error::system(ENOMEM, "seccomp_init"));
  if (auto added = add(quiet, SCMP_ACT_ERRNO(ENOSYS), "clone3"); !added) return added;
  if (auto filled = fill(filter); !filled) return filled;
  if (auto loaded = load(quiet, false); !loaded) return loaded;
  return load(filter, true);
}

}  // namespace tools
