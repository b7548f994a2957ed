// Client: who is at the other end of a channel, and how much of the broker they may occupy.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "tools/broker/broker_options.h"
#include "tools/broker/doorbell.h"

namespace tools {

// Whoever connected the channel, which keeps that identity when it is handed on.
struct Client {
  uid_t user;
  gid_t group;
  pid_t process;
  std::vector<gid_t> groups;  // besides `group`
};

// Error: kSystem. Source: unix(7), SO_PEERCRED and SO_PEERGROUPS.
[[nodiscard]] ktls::Result<Client> client_of(int channel);

// Our own user and root, and whom the options name.
[[nodiscard]] bool may_connect(const Client& client, const BrokerOptions& options);

// How many there may be of one kind of thing: of one user, and of all together.
class Places {
 public:
  Places(std::size_t each_max, std::size_t all_max) : each_max_(each_max), all_max_(all_max) {}
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  // Given back when it is destroyed.
  class Place {
   public:
    Place(Place&& other) noexcept
        : places_(std::exchange(other.places_, nullptr)), user_(other.user_) {}
    Place& operator=(Place&&) = delete;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();

   private:
    friend class Places;
    Place(Places& places, uid_t user) : places_(&places), user_(user) {}

    Places* places_;
    uid_t user_;
  };

  // Nothing: there is none.
  [[nodiscard]] std::optional<Place> take(uid_t user);
  // Waits for one. Errors: those of the scope.
  [[nodiscard]] bridge::Task<ktls::Result<Place>> wait(bridge::Loop& loop, bridge::Scope& scope,
                                                       uid_t user);
  [[nodiscard]] std::size_t taken() const { return taken_; }

 private:
  std::size_t each_max_;
  std::size_t all_max_;
  std::size_t taken_ = 0;
  std::map<uid_t, std::size_t> taken_by_;
  Doorbell given_back_;
};

}  // namespace tools
