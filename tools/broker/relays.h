// Relays: streams that the broker relays, and what is known of their ends on either side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "ktls/base/result.h"
#include "userspace/bridge/departure.h"

namespace tools {

// A stream is known by the cookie of the program's end (SO_COOKIE), which nobody can forge.
class Relays {
 public:
  Relays() = default;
  Relays(const Relays&) = delete;
  Relays& operator=(const Relays&) = delete;

  // One that is being relayed, for as long as it lives.
  class Relay final : public bridge::Departure {
   public:
    // `arrived`: how many bytes have been written to the stream so far, read or not.
    Relay(Relays& relays, std::uint64_t cookie, std::function<std::uint64_t()> arrived);
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;
    ~Relay() override;

    // The program has let go of the stream: it said that this was all (close_in_order()), or it may
    // as well have been killed. Error: kAbandoned with an alert.
    bridge::Task<ktls::Result<void>> wait(bridge::Scope& scope) override;
    // Both sides have said that it was all.
    void end_in_order() { has_ended_in_order_ = true; }

   private:
    friend class Relays;

    Relays& relays_;
    std::uint64_t cookie_;
    std::function<std::uint64_t()> arrived_;
    bool is_closed_in_order_ = false;
    std::optional<std::uint64_t> released_at_;  // what had arrived when somebody left in order
    bool has_ended_in_order_ = false;
  };

  // The program says that it has sent all. False: there is no such stream.
  bool close_in_order(std::uint64_t cookie);
  // Whether there is such a stream.
  [[nodiscard]] bool has(std::uint64_t cookie) const { return relays_.contains(cookie); }
  // One process says that it has sent all, and others may have the stream as well: it was all if
  // none of them sends more.
  void release(std::uint64_t cookie);
  // Whether the end that a program read was the peer's close_notify. While a stream is relayed
  // nothing else ends it there, and what ended in order is remembered.
  [[nodiscard]] bool was_orderly(std::uint64_t cookie) const;

 private:
  void remember(std::uint64_t cookie);

  std::map<std::uint64_t, Relay*> relays_;
  std::set<std::uint64_t> ended_;
  std::deque<std::uint64_t> ended_in_order_of_time_;
};

// SO_COOKIE of a socket. Error: kSystem.
[[nodiscard]] ktls::Result<std::uint64_t> cookie_of(int fd);

}  // namespace tools
