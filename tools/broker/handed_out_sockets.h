// HandedOutSockets: connections whose sockets are with programs, and what the broker still does for
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ktls/base/result.h"
#include "ktls/observe/socket_diag.h"
#include "tools/broker/client.h"
#include "tools/broker/foreign_fd.h"
#include "tools/broker/held_sockets.h"
#include "tools/common/log.h"
#include "userspace/bridge/connection.h"
#include "userspace/broker/protocol.h"
#include "userspace/io/async_mutex.h"
#include "userspace/io/loop.h"

namespace tools {

// Secrets that are kept: a few KiB each, and one look a second.
inline constexpr std::size_t kHandedOutMax = 65'536;
inline constexpr std::size_t kHandedOutOfUserMax = kHandedOutMax / 2;

// Keeps the secrets of each for as long as any process has its socket, of which it has no
// descriptor itself: the last one that a program closes is the last. On one loop's thread.
class HandedOutSockets {
 public:
  // Borrows all of them.
  HandedOutSockets(bridge::Loop& loop, const Log& log, HeldSockets& held)
      : loop_(loop), log_(log), held_(held) {}
  HandedOutSockets(const HandedOutSockets&) = delete;
  HandedOutSockets& operator=(const HandedOutSockets&) = delete;

  // From now on `connection`, both directions of which are in the kernel, is with others. Its
  // descriptor may be closed afterwards. `peer`: for the log. Errors: kSystem, kLimitReached where
  // the user has too many already; then it is not kept.
  [[nodiscard]] ktls::Result<void> add(std::unique_ptr<bridge::Connection> connection,
                                       const Client& client, const std::string& peer);

  // A program that has the socket `fd` took a control record from it. Acts on it, and answers what
  // the program is to hear. A connection for which that is not possible is ended with an alert:
  // `secrets_lost` where it is none of ours, `rekey_impossible`, or as Connection::act_on().
  [[nodiscard]] bridge::Task<broker::Answer> act_on(bridge::Scope& scope, int fd,
                                                    bridge::ControlRecord record);
  // After act_on(), when the program has its answer: sends the KeyUpdate that had no room. A peer
  // that has none for too long has its connection ended.
  [[nodiscard]] bridge::Task<void> settle(ForeignFd fd);

  // For ever: forgets those whose sockets are gone, and changes keys before their limit.
  [[nodiscard]] bridge::Task<void> watch(bridge::Scope& scope);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::unique_ptr<bridge::Connection> connection;
    Places::Place place;
    uid_t user;  // whose processes may be stopped for it
    std::string peer;
    ktls::SocketIdentity identity;
    std::uint64_t inode;
    bridge::Clock::time_point since;
    bool was_missed = false;         // by the log, once
    std::uint64_t counted_at = 0;    // bytes sent when its records were counted last
    std::uint64_t records_left = 0;  // then
    // TCP has finished with the socket, which a program may still have to read from.
    std::optional<bridge::Clock::time_point> over_since = {};
    bridge::Clock::time_point next_look = {};  // for such a program
    bridge::AsyncMutex turn = {};
  };
  using Entries = std::map<std::uint64_t, std::shared_ptr<Entry>>;

  // False: it is to be forgotten.
  [[nodiscard]] bool look_after(bridge::Scope& scope, const std::shared_ptr<Entry>& entry);
  // Of one that TCP has finished with.
  [[nodiscard]] bridge::Task<void> forget_unless_held(std::shared_ptr<Entry> entry);
  // Its records are to be counted. `seen`: what find_held_socket() said of the socket.
  [[nodiscard]] bridge::Task<void> look_closer(bridge::Scope& scope, std::shared_ptr<Entry> entry,
                                               ktls::HeldSocket seen);
  // Has the key changed if it has sealed half of what it may. `inode`: of the socket.
  [[nodiscard]] bridge::Task<ktls::Result<void>> keep_to_limit(bridge::Scope& scope, Entry& entry,
                                                               std::uint32_t inode);
  [[nodiscard]] bridge::Task<ktls::Result<void>> follow(bridge::Scope& scope, Entry& entry, int fd,
                                                        const bridge::ControlRecord& record);
  // Ends it with an alert, and forgets it.
  [[nodiscard]] bridge::Task<void> end(Entry& entry, int fd, const ktls::Error& error);
  [[nodiscard]] bridge::Task<broker::Answer> end_unknown(int fd);

  bridge::Loop& loop_;
  const Log& log_;
  HeldSockets& held_;
  Places places_{kHandedOutOfUserMax, kHandedOutMax};
  Entries entries_;  // by cookie; each has a place
};

}  // namespace tools
