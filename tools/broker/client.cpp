// Credentials by socket options, and places by counting.

#include "tools/broker/client.h"

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>
#include <unistd.h>

namespace tools {

using bridge::Task;
using ktls::Error;
using ktls::Result;

namespace {

// Of a user with more, the last ones are not seen, and give no access.
constexpr std::size_t kGroupsMax = 1024;

}  // namespace

Result<Client> client_of(int channel) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ktls::fail(Error::system(errno, "getsockopt(SO_PEERCRED)"));
  }
  Client client{.user = peer.uid, .group = peer.gid, .process = peer.pid, .groups = {}};
  client.groups.resize(kGroupsMax);
  size = static_cast<socklen_t>(client.groups.size() * sizeof(gid_t));
  if (::getsockopt(channel, SOL_SOCKET, SO_PEERGROUPS, client.groups.data(), &size) != 0) size = 0;
  client.groups.resize(size / sizeof(gid_t));
  return client;
}

bool may_connect(const Client& client, const BrokerOptions& options) {
  if (client.user == 0 || client.user == ::geteuid()) return true;
  const auto has = [](const auto& list, auto wanted) {
    return std::ranges::find(list, wanted) != list.end();
  };
  if (has(options.users, client.user)) return true;
  return std::ranges::any_of(options.groups, [&](gid_t group) {
    return group == client.group || has(client.groups, group);
  });
}

Places::Place::~Place() {
  if (places_ == nullptr) return;
  --places_->taken_;
  const auto mine = places_->taken_by_.find(user_);
  if (--mine->second == 0) places_->taken_by_.erase(mine);
  places_->given_back_.ring();
}

std::optional<Places::Place> Places::take(uid_t user) {
  const auto mine = taken_by_.find(user);
  const std::size_t taken_by_user = mine == taken_by_.end() ? 0 : mine->second;
  if (taken_ >= all_max_ || taken_by_user >= each_max_) return std::nullopt;
  ++taken_;
  ++taken_by_[user];
  return Place(*this, user);
}

Task<Result<Places::Place>> Places::wait(bridge::Loop& loop, bridge::Scope& scope, uid_t user) {
  for (;;) {
    if (auto place = take(user)) co_return *std::move(place);
    auto rung = co_await given_back_.wait(loop, scope);
    if (!rung) co_return ktls::fail(std::move(rung).error());
  }
}

}  // namespace tools
