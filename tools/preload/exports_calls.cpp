// What would get around the shim: syscall(2), and filters of system calls.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <span>

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "tools/preload/closing.h"
#include "tools/preload/exports.h"
#include "tools/preload/filters.h"
#include "tools/preload/numbered_calls.h"
#include "tools/preload/older_calls.h"
#include "tools/preload/ours.h"
#include "tools/preload/real.h"
#include "tools/preload/say.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

long call_really(long number, const Arguments& a) {
  return real::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// Rings read and write by themselves, and nothing would stand in front of them.
long refuse_ring(const Arguments&) {
  static std::atomic<bool> was_said = false;
  if (!was_said.exchange(true)) {
    say({"io_uring is not to be had here (ENOSYS): its reads and writes would get around TLS"});
  }
  errno = ENOSYS;
  return -1;
}

long install_filter(const Arguments& a) {
  try_filter(static_cast<unsigned>(a[0]), static_cast<unsigned>(a[1]),
             reinterpret_cast<void*>(a[2]));
  return call_really(SYS_seccomp, a);
}

int control_process(int option, const Arguments& a) {
  if (option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_STRICT) {
    try_filter(SECCOMP_SET_MODE_STRICT, 0, nullptr);
  } else if (option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_FILTER) {
    try_filter(SECCOMP_SET_MODE_FILTER, 0, reinterpret_cast<void*>(a[1]));
  }
  return real::prctl(option, a[0], a[1], a[2], a[3]);
}

// A copy of the process has a copy of the table, whose lock is to be free in it.
long copy_process(long number, const Arguments& a) {
  hold_lock();
  mark_all_shared();
  const long pid = call_really(number, a);
  const int error = errno;
  release_lock();
  errno = error;
  return pid;
}

// Threads have them in common, and the table and its lock as well. A child that has memory in
// common and no descriptors would end what is the parent's: it gets memory of its own (see
// vfork()).
bool shares_descriptors(std::uint64_t flags) {
  return (flags & (CLONE_FILES | CLONE_THREAD)) != 0;
}

long clone_process(const Arguments& a) {
  if (shares_descriptors(static_cast<std::uint64_t>(a[0]))) return call_really(SYS_clone, a);
  Arguments ours = a;
  ours[0] &= ~static_cast<long>(CLONE_VM);
  return copy_process(SYS_clone, ours);
}

long clone_process_by_structure(const Arguments& a) {
  // clone(2): the flags are the first of the structure, whose size the caller tells.
  constexpr std::size_t kSizeMax = 256;
  const auto* const given = reinterpret_cast<const unsigned char*>(a[0]);
  const auto size = static_cast<std::size_t>(a[1]);
  if (given == nullptr || size < sizeof(std::uint64_t) || size > kSizeMax) {
    return call_really(SYS_clone3, a);
  }
  std::uint64_t flags = 0;
  std::memcpy(&flags, given, sizeof flags);
  if (shares_descriptors(flags)) return call_really(SYS_clone3, a);
  std::array<unsigned char, kSizeMax> structure{};
  std::memcpy(structure.data(), given, size);
  flags &= ~std::uint64_t{CLONE_VM};
  std::memcpy(structure.data(), &flags, sizeof flags);
  Arguments ours = a;
  ours[0] = reinterpret_cast<long>(structure.data());
  return copy_process(SYS_clone3, ours);
}

long close_many(const Arguments& a) {
  return __real_close_range(static_cast<unsigned>(a[0]), static_cast<unsigned>(a[1]),
                            static_cast<int>(a[2]));
}

long end_process(const Arguments& a) {
  __real__exit(static_cast<int>(a[0]));
  __builtin_unreachable();
}

// The offset comes in two halves, of which the first has room for all of it here.
long read_at(const Arguments& a) {
  return __real_preadv64v2(static_cast<int>(a[0]), reinterpret_cast<const iovec*>(a[1]),
                           static_cast<int>(a[2]), a[3], static_cast<int>(a[5]));
}

long write_at(const Arguments& a) {
  return __real_pwritev64v2(static_cast<int>(a[0]), reinterpret_cast<const iovec*>(a[1]),
                            static_cast<int>(a[2]), a[3], static_cast<int>(a[5]));
}

long select_with_mask(const Arguments& a) {
  // select(2): the mask comes together with its size.
  const auto* const mask = reinterpret_cast<const sigset_t* const*>(a[5]);
  return __real_pselect(static_cast<int>(a[0]), reinterpret_cast<fd_set*>(a[1]),
                        reinterpret_cast<fd_set*>(a[2]), reinterpret_cast<fd_set*>(a[3]),
                        reinterpret_cast<const timespec*>(a[4]), mask != nullptr ? *mask : nullptr);
}

// The numbers of the calls that a program makes of sockets; whatever else is the kernel's own.
constexpr auto kCalls = std::to_array<NumberedCall>({
    {SYS_accept, by_arguments<&__real_accept>},
    {SYS_accept4, by_arguments<&__real_accept4>},
    {SYS_clone, clone_process},
    {SYS_clone3, clone_process_by_structure},
    {SYS_close, by_arguments<&__real_close>},
    {SYS_close_range, close_many},
    {SYS_connect, by_arguments<&__real_connect>},
    {SYS_dup, by_arguments<&__real_dup>},
    {SYS_dup3, by_arguments<&__real_dup3>},
    {SYS_epoll_ctl, by_arguments<&__real_epoll_ctl>},
    {SYS_epoll_pwait, by_arguments<&__real_epoll_pwait>},
    {SYS_epoll_pwait2, by_arguments<&__real_epoll_pwait2>},
    {SYS_execve, by_arguments<&__real_execve>},
    {SYS_execveat, by_arguments<&__real_execveat>},
    {SYS_exit_group, end_process},
    {SYS_fcntl,
     [](const Arguments& a) {
       return long{__real_fcntl(static_cast<int>(a[0]), static_cast<int>(a[1]), a[2])};
     }},
    {SYS_getpeername, by_arguments<&__real_getpeername>},
    {SYS_getsockname, by_arguments<&__real_getsockname>},
    {SYS_getsockopt, by_arguments<&__real_getsockopt>},
    {SYS_io_uring_setup, refuse_ring},
    {SYS_ioctl,
     [](const Arguments& a) {
       return long{__real_ioctl(static_cast<int>(a[0]), static_cast<unsigned long>(a[1]), a[2])};
     }},
    {SYS_listen, by_arguments<&__real_listen>},
    {SYS_ppoll, by_arguments<&__real_ppoll>},
    {SYS_preadv2, read_at},
    {SYS_prctl,
     [](const Arguments& a) {
       return long{control_process(static_cast<int>(a[0]), {a[1], a[2], a[3], a[4]})};
     }},
    {SYS_pselect6, select_with_mask},
    {SYS_pwritev2, write_at},
    {SYS_read, by_arguments<&__real_read>},
    {SYS_readv, by_arguments<&__real_readv>},
    {SYS_recvfrom, by_arguments<&__real_recvfrom>},
    {SYS_recvmmsg, by_arguments<&__real_recvmmsg>},
    {SYS_recvmsg, by_arguments<&__real_recvmsg>},
    {SYS_seccomp, install_filter},
    {SYS_sendfile, by_arguments<&__real_sendfile64>},
    {SYS_sendmmsg, by_arguments<&__real_sendmmsg>},
    {SYS_sendmsg, by_arguments<&__real_sendmsg>},
    {SYS_sendto, by_arguments<&__real_sendto>},
    {SYS_setsockopt, by_arguments<&__real_setsockopt>},
    {SYS_shutdown, by_arguments<&__real_shutdown>},
    {SYS_splice, by_arguments<&__real_splice>},
    {SYS_write, by_arguments<&__real_write>},
    {SYS_writev, by_arguments<&__real_writev>},
});

// Beyond the numbers of Linux, which are fewer.
constexpr std::size_t kNumbers = 512;
using Table = std::array<long (*)(const Arguments&), kNumbers>;

consteval Table make_table() {
  Table table{};
  for (const std::span<const NumberedCall> calls :
       {std::span<const NumberedCall>(kCalls), std::span<const NumberedCall>(kOlderCalls)}) {
    for (const NumberedCall& each : calls) {
      table[static_cast<std::size_t>(each.number)] = each.call;
    }
  }
  return table;
}

constexpr Table kTable = make_table();

}  // namespace
}  // namespace preload

using preload::Arguments;

PRELOAD_EXPORT long syscall(long number, ...) noexcept {
  Arguments all{};
  va_list arguments;
  va_start(arguments, number);
  for (long& each : all) each = va_arg(arguments, long);
  va_end(arguments);
  if (number == preload::kForkNumber) return preload::copy_process(number, all);
  const auto index = static_cast<unsigned long>(number);
  const auto call = index < preload::kTable.size() ? preload::kTable[index] : nullptr;
  return call != nullptr ? call(all) : preload::call_really(number, all);
}

PRELOAD_EXPORT int prctl(int option, ...) noexcept {
  Arguments all{};
  va_list arguments;
  va_start(arguments, option);
  for (std::size_t i = 0; i < 4; ++i) all[i] = va_arg(arguments, long);
  va_end(arguments);
  return preload::control_process(option, all);
}
