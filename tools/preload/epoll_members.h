// What the kernel tells of the members of an epoll set, in /proc/self/fdinfo.
#pragma once

#include <cstdint>
#include <string_view>

#include <sys/epoll.h>

namespace preload {

// What a registration keeps that has fired (EPOLLONESHOT); all else is gone.
inline constexpr std::uint32_t kKeptWhenFired =
    EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;

struct EpollMember {
  int fd = -1;
  std::uint32_t events = 0;
  std::uint64_t data = 0;
};

// False: the line is of something else.
[[nodiscard]] bool parse_member(std::string_view line, EpollMember& member);

// Whether a registration with EPOLLONESHOT has been told of, so that nothing more comes of it until
// it is modified. False as well where that cannot be seen.
[[nodiscard]] bool has_fired(int set, int fd, std::uint64_t data);

}  // namespace preload
