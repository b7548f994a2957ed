// Small questions about a socket.
#pragma once

#include <cstdint>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace preload {

inline bool is_socket(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

// The value of an option of SOL_SOCKET that is a number; -1: it has none.
inline int socket_option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

// SO_COOKIE; 0 is no socket's.
inline std::uint64_t cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

inline bool is_blocking(int fd) {
  return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

inline std::uint16_t port_of(const sockaddr_in6& address) {
  // sockaddr_in has it at the same place.
  return ntohs(address.sin6_port);
}

}  // namespace preload
