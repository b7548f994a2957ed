#include "tools/preload/names.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>

namespace preload {
namespace {

struct Entry {
  HostName name;
  in6_addr address{};
};

std::array<Entry, kNamesMax> g_entries;
// Ever recorded; the next one has the place of this number.
std::size_t g_recorded = 0;

// IPv4 addresses as IPv6 has them. False: it is neither.
bool read_address(const sockaddr* address, socklen_t size, in6_addr& found) {
  if (address == nullptr || size < sizeof address->sa_family) return false;
  if (address->sa_family == AF_INET6 && size >= offsetof(sockaddr_in6, sin6_scope_id)) {
    std::memcpy(&found, reinterpret_cast<const char*>(address) + offsetof(sockaddr_in6, sin6_addr),
                sizeof found);
    return true;
  }
  if (address->sa_family != AF_INET || size < sizeof(sockaddr_in)) return false;
  found = {};
  found.s6_addr[10] = 0xff;
  found.s6_addr[11] = 0xff;
  std::memcpy(&found.s6_addr[12],
              reinterpret_cast<const char*>(address) + offsetof(sockaddr_in, sin_addr),
              sizeof(in_addr));
  return true;
}

HostName copy_of(std::string_view text) {
  HostName name;
  name.size = text.copy(name.text.data(), name.text.size());
  return name;
}

HostName write_address(const in6_addr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    ::inet_ntop(AF_INET, &address.s6_addr[12], text.data(), text.size());
  } else {
    ::inet_ntop(AF_INET6, &address, text.data(), text.size());
  }
  return copy_of(text.data());
}

// Also in the forms that only the resolver takes for one: "127.1", "fe80::1%lo".
bool is_address(const HostName& name) {
  std::array<char, kHostNameMax + 1> text{};
  const std::string_view view = name.view();
  view.substr(0, view.find('%')).copy(text.data(), kHostNameMax);
  in_addr four{};
  in6_addr six{};
  return ::inet_aton(text.data(), &four) != 0 || ::inet_pton(AF_INET6, text.data(), &six) == 1;
}

}  // namespace

HostName text_of_address(const sockaddr* address, socklen_t size) {
  in6_addr found{};
  return read_address(address, size, found) ? write_address(found) : HostName{};
}

void record_name(std::string_view name, const sockaddr* address, socklen_t size) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > kHostNameMax) return;
  Entry entry;
  entry.name = copy_of(name);
  if (!read_address(address, size, entry.address) || is_address(entry.name)) return;
  g_entries[g_recorded++ % kNamesMax] = entry;
}

HostName name_of(const sockaddr* address, socklen_t size) {
  in6_addr wanted{};
  if (!read_address(address, size, wanted)) return {};
  for (std::size_t age = 1; age <= std::min(g_recorded, kNamesMax); ++age) {
    const Entry& entry = g_entries[(g_recorded - age) % kNamesMax];
    if (std::memcmp(&entry.address, &wanted, sizeof wanted) == 0) return entry.name;
  }
  return write_address(wanted);
}

}  // namespace preload
