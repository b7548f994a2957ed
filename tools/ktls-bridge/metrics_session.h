// metrics_session(): one request of a monitoring system over plain HTTP, and its answer.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>

#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/phase.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// What there is to ask for; both are called on the thread of the session's loop.
//   metrics     of /metrics: the page
//   is_serving  of /health: 200 while it is so, and 503 from then on
struct MetricsPages {
  std::function<std::string()> metrics;
  std::function<bool()> is_serving;
};

// Those that have not asked yet, in the order in which they came, on one thread. Where there are
// too many, the first has to go: whoever asks at once is not to wait for who says nothing.
class SilentClients {
 public:
  static constexpr std::size_t kMax = 8;

  void add(Cancellation& client);
  void remove(const Cancellation& client);

 private:
  std::deque<Cancellation*> clients_;
};

// Whoever has not asked and taken the answer within some seconds is cut off: there are few places.
// `silent` and `pages` are borrowed until it is done.
[[nodiscard]] bridge::Task<void> metrics_session(bridge::Loop& loop, Cancellation& cancellation,
                                                 SilentClients& silent, const MetricsPages& pages,
                                                 ktls::UniqueFd accepted);

}  // namespace tools
