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
// So many names with an address are remembered. For a new one the oldest is forgotten that no
// pattern names; one that a pattern names only for another such.
inline constexpr std::size_t kNamesMax = 512;

struct HostName {
  std::array<char, kHostNameMax> text{};
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const { return {text.data(), size}; }
};

// Both under Changing. IPv4 that is written as IPv6 is IPv4.

// `name` was looked up by this thread and has this address. A name that is an address itself is
// none, and one that is too long for DNS is not kept.
void record_name(std::string_view name, const sockaddr* address, socklen_t size);

// Whether a connection to the address is to be TLS: its text, or any name by which it was looked
// up, is what a pattern says of its port. Then `name` is what to ask for and to verify: of the
// names that a pattern names the one that this thread has looked up last, or else any thread; or
// else the address, if a pattern names that. Only where a pattern leaves the host open, it is
// whatever name this thread has looked up last, or else any thread, or the address. Whoever can
// make the program look up names of his must not choose what others are verified by.
[[nodiscard]] bool choose_name(const sockaddr* address, socklen_t size, HostName& name);

}  // namespace preload
