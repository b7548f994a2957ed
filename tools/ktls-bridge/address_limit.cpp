// Counting by address.

#include "tools/ktls-bridge/address_limit.h"

#include <cstring>
#include <utility>

#include <netinet/in.h>

namespace tools {
namespace {

// Of ::ffff:192.0.2.1, as which a socket that listens on [::] sees IPv4 (RFC 4291 section 2.5.5.2).
constexpr std::size_t kMappedAddressAt = 12;

}  // namespace

AddressLimit::Place::Place(Place&& other) noexcept
    : limit_(std::exchange(other.limit_, nullptr)),
      key_(other.key_),
      is_granted_(other.is_granted_) {}

AddressLimit::Place::~Place() {
  if (limit_ != nullptr) limit_->give_back(key_);
}

AddressLimit::Place AddressLimit::take(const SocketAddress& peer) {
  Place::Key key{};
  key[0] = static_cast<std::uint8_t>(peer.family());
  if (peer.family() == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(peer.storage);
    std::memcpy(&key[1], &v4.sin_addr, sizeof v4.sin_addr);
  } else if (peer.family() == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(peer.storage).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      key[0] = AF_INET;
      std::memcpy(&key[1], &v6.s6_addr[kMappedAddressAt], sizeof(in_addr));
    } else {
      std::memcpy(&key[1], &v6, key.size() - 1);
    }
  } else {
    return {nullptr, key, true};
  }
  if (connections_max_ == 0) return {nullptr, key, true};
  const std::lock_guard lock(mutex_);
  std::size_t& connections = connections_[key];
  if (connections >= connections_max_) return {nullptr, key, false};
  ++connections;
  return {this, key, true};
}

void AddressLimit::give_back(const Place::Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(key);
  if (--found->second == 0) connections_.erase(found);
}

}  // namespace tools
