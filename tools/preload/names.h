// Which name an address was looked up by, for TLS verifies names and connect(2) knows none.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>

namespace preload {

// DNS has no longer ones (RFC 1035 section 2.3.4, as text without the last dot).
inline constexpr std::size_t kHostNameMax = 253;
// So many addresses are remembered; the oldest is forgotten for a new one.
inline constexpr std::size_t kNamesMax = 512;

struct HostName {
  std::array<char, kHostNameMax> text{};
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const { return {text.data(), size}; }
};

// An address as text, without a port; empty: it is neither IPv4 nor IPv6. IPv4 that is written as
// IPv6 is IPv4.
[[nodiscard]] HostName text_of_address(const sockaddr* address, socklen_t size);

// Under Changing.

// `name` was looked up and has this address. A name that is an address itself is none, and one that
// is too long for DNS is not kept.
void record_name(std::string_view name, const sockaddr* address, socklen_t size);
// The name by which the address was looked up last, or the address as text.
[[nodiscard]] HostName name_of(const sockaddr* address, socklen_t size);

}  // namespace preload
