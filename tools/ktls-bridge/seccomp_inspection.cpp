// Trying in a child what a filter may forbid, which may kill it.

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/ktls-bridge/program_inspection.h"

namespace tools {
namespace {

// What the child was about to call when it ended; null: it has called everything.
struct Progress {
  const char* call;
};

// A filter lets a call fail with any errno that it likes; these are the ones that are used.
bool is_forbidden(long result) {
  return result < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES);
}

// Filters are inherited from whoever started us, and are a matter of proc(5), "Seccomp".
bool has_filter() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Seccomp:")) return line.find('2') != std::string::npos;
  }
  return true;  // it cannot be told: try
}

struct Rights {
  Rights() {
    part = {.iov_base = &byte, .iov_len = 1};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }

  char byte = 'x';
  iovec part{};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
};

long send_descriptor(int socket, int fd) {
  Rights rights;
  cmsghdr* const header = CMSG_FIRSTHDR(&rights.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return ::sendmsg(socket, &rights.message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

long receive_descriptor(int socket) {
  Rights rights;
  return ::recvmsg(socket, &rights.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
}

// An abstract name of this process, which nobody listens on.
socklen_t some_name(sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  const std::string name = "ktls-bridge/probe/" + std::to_string(::getpid());
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

// In the child.
[[noreturn]] void call_everything(volatile Progress& progress) {
  const auto must = [&progress](const char* call, auto&& function) {
    progress.call = call;
    if (is_forbidden(function())) ::_exit(1);
  };
  int ends[2] = {-1, -1};
  int value = 0;
  socklen_t size = sizeof value;
  sockaddr_un address{};
  const socklen_t address_size = some_name(address);
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  must("socketpair", [&] { return ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); });
  must("sendmsg", [&] { return send_descriptor(ends[0], ends[1]); });
  must("recvmsg", [&] { return receive_descriptor(ends[1]); });
  must("dup3", [&] { return ::dup3(ends[0], ends[1], O_CLOEXEC); });
  must("fcntl", [&] { return ::fcntl(ends[0], F_DUPFD_CLOEXEC, 0); });
  must("getsockopt", [&] { return ::getsockopt(ends[0], SOL_SOCKET, SO_DOMAIN, &value, &size); });
  must("socket", [&] { return value = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); });
  must("bind", [&] { return ::bind(ends[0], name, address_size); });
  must("connect", [&] { return ::connect(value, name, address_size); });
  progress.call = nullptr;
  ::_exit(0);
}

}  // namespace

std::optional<UnfitProgram> inspect_seccomp() {
  if (!has_filter()) return std::nullopt;
  void* const page =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return std::nullopt;
  auto& progress = *static_cast<volatile Progress*>(page);
  progress.call = "fork";
  const pid_t child = ::fork();
  if (child == 0) call_everything(progress);
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const char* const call = progress.call;
  ::munmap(page, sizeof(Progress));
  const bool is_killed = child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
  const bool is_forbidden_one = child > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0;
  if ((!is_killed && !is_forbidden_one) || call == nullptr) return std::nullopt;
  return UnfitProgram{.why = Unfit::kSeccomp, .subject = {}, .detail = call};
}

}  // namespace tools
