#include "tools/preload/filters.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/preload/say.h"
#include "tools/preload/setting.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

std::atomic<bool> g_may_make_connections = true;
std::atomic<bool> g_is_filtered = false;

// A filter that lets a call wait for a supervisor may do so for ever.
constexpr int kTrialTimeoutMs = 5000;

bool send_descriptor(int socket, int fd) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof fd)> control{};
  char byte = 'x';
  iovec part{&byte, sizeof byte};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

bool receive_descriptor(int socket) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  char byte = 0;
  iovec part{&byte, sizeof byte};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  return ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1 &&
         CMSG_FIRSTHDR(&message) != nullptr;
}

// What a connection takes: a message with descriptors to the broker, its answer, and another file
// for the program's number.
bool can_do_all() {
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
  if (!send_descriptor(pair[0], pair[1])) return false;
  pollfd wanted{pair[1], POLLIN, 0};
  if (::poll(&wanted, 1, 0) != 1 || !receive_descriptor(pair[1])) return false;
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &value, &size) != 0) return false;
  const int status = ::fcntl(pair[0], F_GETFL);
  if (status < 0 || ::fcntl(pair[0], F_SETFL, status) != 0) return false;
  const int copy = ::fcntl(pair[0], F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || ::dup3(pair[1], copy, O_CLOEXEC) != copy) return false;
  sockaddr_storage address{};
  size = sizeof address;
  if (::getsockname(copy, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  return ::shutdown(copy, SHUT_RDWR) == 0 && ::close(copy) == 0;
}

// In the copy of the process, of which only this thread exists: no lock of anybody may be taken.
[[noreturn]] void run_trial(unsigned operation, unsigned flags, void* filter,
                            volatile bool* is_possible) {
  // Killed by the filter, it is to end without a word.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(SIGSYS, &by_default, nullptr);
  // Where the kernel refuses the filter the program's own attempt changes nothing, either.
  const bool is_refused = ::syscall(SYS_seccomp, operation, flags, filter, 0, 0, 0) < 0;
  *is_possible = is_refused || can_do_all();
  for (;;) {
    ::syscall(SYS_exit_group, 0, 0, 0, 0, 0, 0);
    // A filter that forbids the end is no obstacle to it.
    __builtin_trap();
  }
}

// Without a signal to the parent at its end, so that the program neither hears of it nor waits for
// it (__WCLONE in wait(2)); and without fork's handlers.
pid_t copy_process() {
  return static_cast<pid_t>(::syscall(SYS_clone, 0, 0, 0, 0, 0, 0));
}

// The end of `process` is the end of whoever has the pipe's other end.
void await_end(pid_t process, int pipe_end) {
  pollfd wanted{pipe_end, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wanted, 1, kTrialTimeoutMs);
  } while (ready < 0 && errno == EINTR);
  if (ready != 1) ::kill(process, SIGKILL);
  while (::waitpid(process, nullptr, __WCLONE) < 0 && errno == EINTR) {
  }
}

bool survives(unsigned operation, unsigned flags, void* filter) {
  void* const room =
      ::mmap(nullptr, sizeof(bool), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  auto* const is_possible = static_cast<volatile bool*>(room);
  *is_possible = false;
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
    const pid_t process = copy_process();
    if (process == 0) run_trial(operation, flags, filter, is_possible);
    ::close(ends[1]);
    if (process > 0) await_end(process, ends[0]);
    ::close(ends[0]);
  }
  const bool answer = *is_possible;
  ::munmap(room, sizeof(bool));
  return answer;
}

}  // namespace

bool may_make_connections() {
  return g_may_make_connections.load();
}

bool is_filtered() {
  return g_is_filtered.load();
}

void try_filter(unsigned operation, unsigned flags, void* filter) {
  const bool is_filter = operation == SECCOMP_SET_MODE_STRICT ||
                         (operation == SECCOMP_SET_MODE_FILTER && filter != nullptr);
  if (is_filter) g_is_filtered.store(true);
  const bool makes_any = wraps_any_port() || wraps_any_peer();
  if (!is_filter || !makes_any || !g_may_make_connections.load()) return;
  const ErrnoKept kept;
  if (survives(operation, flags, filter)) return;
  if (!g_may_make_connections.exchange(false)) return;
  say(
      {"this program forbids itself system calls that TLS needs (seccomp): it makes no new "
       "connections from now on"});
}

}  // namespace preload
