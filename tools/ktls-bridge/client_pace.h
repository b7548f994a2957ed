// ClientPace: lets sending go on for as long as the client takes what it is sent.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "userspace/io/loop.h"
#include "userspace/io/scope.h"

namespace tools {

// A client that takes less than `rate_least` bytes a second, over a time of `grace`, is ended.
struct SendPace {
  std::uint64_t rate_least = 0;  // 0: anything at all is enough
  std::chrono::milliseconds grace{};
};

// Looks at the socket at most once in `grace`, and never while sending does not take so long. What
// counts is what the client's system has acknowledged, not what this one's buffers hold: those are
// megabytes, for which a slow client may take minutes. So a client that takes nothing is ended
// after `grace` at the least and twice that at the most. What is not TCP tells no more than whether
// anything was taken. Used on the loop's thread.
//
// It goes by the client, not by the pieces in which it is sent something: time runs on from one
// watch to the next, until the client has everything.
class ClientPace final : public bridge::Patience {
 public:
  ClientPace(bridge::Loop& loop, int fd, const SendPace& pace)
      : loop_(loop), fd_(fd), pace_(pace) {}

  // For the timeout of the scope that is watched.
  [[nodiscard]] std::chrono::milliseconds grace() const { return pace_.grace; }

  // Has `scope` end when the client takes too little, and go on until then; it must not outlive
  // this.
  void watch(bridge::Scope& scope);

  [[nodiscard]] std::optional<std::chrono::milliseconds> more() override;

 private:
  struct Look {
    bridge::Clock::time_point time;
    std::optional<std::uint64_t> acknowledged;  // TCP alone
    int outstanding = 0;
  };
  [[nodiscard]] int outstanding() const;
  [[nodiscard]] Look look() const;
  [[nodiscard]] bool takes_enough(const Look& before, const Look& now) const;

  bridge::Loop& loop_;
  int fd_;
  SendPace pace_;
  std::optional<bridge::Clock::time_point> begun_;  // the time that is under way
  std::optional<Look> last_;                        // at its begin, if the client lacked anything
};

}  // namespace tools
