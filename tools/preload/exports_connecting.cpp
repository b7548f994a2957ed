// connect() of the program, and the functions by which it looks names up.
#include <cerrno>
#include <cstring>

#include <netinet/in.h>

#include "tools/preload/connecting.h"
#include "tools/preload/exports.h"
#include "tools/preload/names.h"
#include "tools/preload/real.h"
#include "tools/preload/setting.h"

namespace preload {
namespace {

// A list of addresses has an end, but is not ours: so many are looked at.
constexpr int kAddressesMax = static_cast<int>(kNamesMax);

void record(const char* name, const addrinfo* found) {
  if (name == nullptr || !wraps_any_peer()) return;
  const ErrnoKept kept;
  const Changing changing;
  for (int i = 0; found != nullptr && i < kAddressesMax; ++i, found = found->ai_next) {
    record_name(name, found->ai_addr, found->ai_addrlen);
  }
}

void record(const char* name, const hostent* found) {
  if (name == nullptr || found == nullptr || !wraps_any_peer()) return;
  const ErrnoKept kept;
  const Changing changing;
  for (int i = 0; found->h_addr_list[i] != nullptr && i < kAddressesMax; ++i) {
    sockaddr_in6 address{};
    if (found->h_addrtype == AF_INET6) {
      address.sin6_family = AF_INET6;
      std::memcpy(&address.sin6_addr, found->h_addr_list[i], sizeof address.sin6_addr);
      record_name(name, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else if (found->h_addrtype == AF_INET) {
      auto* const four = reinterpret_cast<sockaddr_in*>(&address);
      four->sin_family = AF_INET;
      std::memcpy(&four->sin_addr, found->h_addr_list[i], sizeof four->sin_addr);
      record_name(name, reinterpret_cast<const sockaddr*>(four), sizeof *four);
    }
  }
}

}  // namespace
}  // namespace preload

using preload::record;
namespace real = preload::real;

PRELOAD_EXPORT int connect(int fd, const sockaddr* address, socklen_t size) {
  preload::Wrapped* const wrapped = preload::find(fd);
  if (wrapped == nullptr && !preload::wraps_any_peer()) return real::connect(fd, address, size);
  return preload::connect_socket(fd, wrapped, address, size);
}

PRELOAD_EXPORT int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                               addrinfo** found) {
  const int error = real::getaddrinfo(node, service, hints, found);
  if (error == 0) record(node, *found);
  return error;
}

PRELOAD_EXPORT hostent* gethostbyname(const char* name) {
  hostent* const found = real::gethostbyname(name);
  record(name, found);
  return found;
}

PRELOAD_EXPORT hostent* gethostbyname2(const char* name, int family) {
  hostent* const found = real::gethostbyname2(name, family);
  record(name, found);
  return found;
}

PRELOAD_EXPORT int gethostbyname_r(const char* name, hostent* room, char* buffer, size_t size,
                                   hostent** found, int* error) {
  const int failed = real::gethostbyname_r(name, room, buffer, size, found, error);
  if (failed == 0) record(name, *found);
  return failed;
}

PRELOAD_EXPORT int gethostbyname2_r(const char* name, int family, hostent* room, char* buffer,
                                    size_t size, hostent** found, int* error) {
  const int failed = real::gethostbyname2_r(name, family, room, buffer, size, found, error);
  if (failed == 0) record(name, *found);
  return failed;
}
