// AddressLimit: how many connections one client address may have at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "tools/common/address.h"

namespace tools {

// Thread-safe: a client's connections are spread over all threads. An IPv6 client counts by its
// /64, of which it has all addresses (RFC 6177), an IPv4 client by its address, also where a socket
// for both accepted it; unix sockets have no limit.
class AddressLimit {
 public:
  // `connections_max` 0: no limit.
  explicit AddressLimit(std::size_t connections_max) : connections_max_(connections_max) {}

  // A place among the connections of one address; given back when it is destroyed.
  class Place {
   public:
    Place(Place&& other) noexcept;
    Place& operator=(Place&&) = delete;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();

    // False: the address had as many connections as it may.
    [[nodiscard]] explicit operator bool() const { return is_granted_; }

   private:
    friend class AddressLimit;
    using Key = std::array<std::uint8_t, 9>;  // the family, and 4 or 8 bytes of the address
    Place(AddressLimit* limit, const Key& key, bool is_granted)
        : limit_(limit), key_(key), is_granted_(is_granted) {}

    AddressLimit* limit_;  // null: nothing to give back
    Key key_;
    bool is_granted_;
  };

  [[nodiscard]] Place take(const SocketAddress& peer);

 private:
  void give_back(const Place::Key& key);

  std::size_t connections_max_;
  std::mutex mutex_;
  std::map<Place::Key, std::size_t> connections_;
};

}  // namespace tools
