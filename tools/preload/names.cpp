#include "tools/preload/names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <arpa/inet.h>
#include <unistd.h>

#include "tools/preload/host_text.h"
#include "tools/preload/setting.h"

namespace preload {
namespace {

//   thread      that has looked it up
//   is_of_host  a pattern names it
//   order       the later the greater; 0: this place is free
struct Entry {
  HostName name;
  in6_addr address{};
  pid_t thread = 0;
  bool is_of_host = false;
  std::uint64_t order = 0;
};

std::array<Entry, kNamesMax> g_entries;
std::uint64_t g_last_order = 0;

bool is_same(const in6_addr& one, const in6_addr& other) {
  return std::memcmp(&one, &other, sizeof one) == 0;
}

// What comes first is forgotten first.
bool is_forgotten_before(const Entry& one, const Entry& other) {
  return one.is_of_host != other.is_of_host ? !one.is_of_host : one.order < other.order;
}

// Where it stands already, or the place that it is to have; null: all others are worth more.
Entry* place_of(const Entry& entry) {
  Entry* worst = g_entries.data();
  for (Entry& each : g_entries) {
    const bool is_known = each.order != 0 && each.thread == entry.thread &&
                          is_same(each.address, entry.address) &&
                          each.name.view() == entry.name.view();
    if (is_known) return &each;
    if (worst->order != 0 && (each.order == 0 || is_forgotten_before(each, *worst))) worst = &each;
  }
  const bool is_worth_more = worst->order != 0 && worst->is_of_host && !entry.is_of_host;
  return is_worth_more ? nullptr : worst;
}

// IPv4 addresses as IPv6 has them. False: it is neither.
bool read_address(const sockaddr* address, socklen_t size, in6_addr& found) {
  if (address == nullptr || size < sizeof address->sa_family) return false;
  if (address->sa_family == AF_INET6 && size >= offsetof(sockaddr_in6, sin6_scope_id)) {
    std::memcpy(&found, reinterpret_cast<const char*>(address) + offsetof(sockaddr_in6, sin6_addr),
                sizeof found);
    found = reached_by(found);
    return true;
  }
  if (address->sa_family != AF_INET || size < sizeof(sockaddr_in)) return false;
  in_addr four{};
  std::memcpy(&four, reinterpret_cast<const char*>(address) + offsetof(sockaddr_in, sin_addr),
              sizeof four);
  found = reached_by(as_ipv6(four));
  return true;
}

// sockaddr_in6 has it at the same place.
std::uint16_t port_at(const sockaddr* address) {
  in_port_t port = 0;
  std::memcpy(&port, reinterpret_cast<const char*>(address) + offsetof(sockaddr_in, sin_port),
              sizeof port);
  return ntohs(port);
}

HostName copy_of(std::string_view text) {
  HostName name;
  name.size = text.copy(name.text.data(), name.text.size());
  return name;
}

// By which loopback addresses are called where nobody has looked that up (RFC 6761 section 6.3):
// programs know them by heart.
constexpr std::string_view kLocalName = "localhost";

bool is_loopback(std::string_view text) {
  return text == "::1" || text.substr(0, 4) == "127.";
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

void record_name(std::string_view name, const sockaddr* address, socklen_t size) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > kHostNameMax) return;
  Entry entry;
  entry.name = copy_of(name);
  if (!read_address(address, size, entry.address) || is_address(entry.name)) return;
  entry.thread = ::gettid();
  entry.is_of_host = is_host_of_pattern(entry.name.view());
  entry.order = ++g_last_order;
  if (Entry* const place = place_of(entry); place != nullptr) *place = entry;
}

bool choose_name(const sockaddr* address, socklen_t size, HostName& name) {
  in6_addr wanted{};
  if (!read_address(address, size, wanted)) return false;
  const std::uint16_t port = port_at(address);
  const pid_t thread = ::gettid();
  const Entry* best = nullptr;
  const auto is_better = [thread](const Entry& one, const Entry& other) {
    const bool is_own = one.thread == thread;
    return is_own != (other.thread == thread) ? is_own : one.order > other.order;
  };
  PeerMatch best_match = PeerMatch::kNone;
  for (const Entry& each : g_entries) {
    if (each.order == 0 || !is_same(each.address, wanted)) continue;
    const PeerMatch match = match_peer(each.name.view(), port);
    if (match == PeerMatch::kNone || match < best_match) continue;
    if (match > best_match || is_better(each, *best)) best = &each;
    best_match = match;
  }
  const AddressText text = text_of(wanted);
  std::string_view otherwise = text.view();
  PeerMatch match = match_peer(otherwise, port);
  if (match != PeerMatch::kHost && is_loopback(otherwise) &&
      match_peer(kLocalName, port) == PeerMatch::kHost) {
    otherwise = kLocalName;
    match = PeerMatch::kHost;
  }
  name = best != nullptr && best_match >= match ? best->name : copy_of(otherwise);
  return std::max(match, best_match) != PeerMatch::kNone;
}

}  // namespace preload
