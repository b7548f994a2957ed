// ListenedSockets: the broker's copies of listening sockets, which keep their ports taken.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "ktls/base/result.h"
#include "tools/broker/doorbell.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// On one loop's thread. A socket is known by its SO_COOKIE; it may have been handed over more than
// once, each time with a channel of its own.
class ListenedSockets {
 public:
  ListenedSockets() = default;
  ListenedSockets(const ListenedSockets&) = delete;
  ListenedSockets& operator=(const ListenedSockets&) = delete;

  // One copy. To be destroyed when it is closed.
  class Copy {
   public:
    // `socket` is looked at only here; `channel`, our end, stays open for as long as this lives.
    Copy(ListenedSockets& all, int socket, int channel);
    Copy(const Copy&) = delete;
    Copy& operator=(const Copy&) = delete;
    ~Copy();

   private:
    ListenedSockets& all_;
    std::optional<std::multimap<std::uint64_t, int>::iterator> entry_;
  };

  [[nodiscard]] bool has(std::uint64_t cookie) const { return channels_.contains(cookie); }
  // Until all those copies are closed whose channels nobody has any more: not even a message on its
  // way, which /proc would not show. Errors: those of the scope.
  [[nodiscard]] bridge::Task<ktls::Result<void>> abandoned_are_closed(bridge::Loop& loop,
                                                                      bridge::Scope& scope,
                                                                      std::uint64_t cookie) const;

 private:
  std::multimap<std::uint64_t, int> channels_;
  mutable Doorbell closed_;
};

}  // namespace tools
