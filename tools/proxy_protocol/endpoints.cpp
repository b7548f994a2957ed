// A header has one family for both addresses.

#include "tools/proxy_protocol/endpoints.h"

#include <cstring>

#include <netinet/in.h>

namespace proxy_protocol {
namespace {

using tools::SocketAddress;

// Of ::ffff:192.0.2.1 (RFC 4291 section 2.5.5.2).
constexpr std::size_t kMappedAddressAt = 12;
constexpr std::uint8_t kMappedPrefix[kMappedAddressAt] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

SocketAddress without_mapping(const SocketAddress& address) {
  if (address.family() != AF_INET6) return address;
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return address;
  SocketAddress plain;
  auto& v4 = reinterpret_cast<sockaddr_in&>(plain.storage);
  v4.sin_family = AF_INET;
  v4.sin_port = v6.sin6_port;
  std::memcpy(&v4.sin_addr, &v6.sin6_addr.s6_addr[kMappedAddressAt], sizeof v4.sin_addr);
  plain.size = sizeof v4;
  return plain;
}

SocketAddress with_mapping(const SocketAddress& address) {
  if (address.family() != AF_INET) return address;
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.storage);
  SocketAddress mapped;
  auto& v6 = reinterpret_cast<sockaddr_in6&>(mapped.storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  std::memcpy(&v6.sin6_addr, kMappedPrefix, sizeof kMappedPrefix);
  std::memcpy(&v6.sin6_addr.s6_addr[kMappedAddressAt], &v4.sin_addr, sizeof v4.sin_addr);
  mapped.size = sizeof v6;
  return mapped;
}

}  // namespace

Endpoints make_endpoints(const SocketAddress& source, const SocketAddress& destination) {
  Endpoints endpoints{.source = without_mapping(source),
                      .destination = without_mapping(destination)};
  if (endpoints.source.family() == endpoints.destination.family()) return endpoints;
  endpoints = {.source = with_mapping(source), .destination = with_mapping(destination)};
  if (endpoints.source.family() != endpoints.destination.family()) return {};
  return endpoints;
}

}  // namespace proxy_protocol
