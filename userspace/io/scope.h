// Scope: what belongs together in time: operations that end together, at a deadline or when
// cancelled.
#pragma once

#include <chrono>
#include <optional>

#include "ktls/base/result.h"
#include "userspace/io/list.h"
#include "userspace/io/timer.h"
#include "userspace/io/wait.h"

namespace bridge {

struct InnerScopeTag;

// Whether a deadline that has come is one. For what takes as long as it takes, while it goes on.
class Patience {
 public:
  Patience() = default;
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;
  virtual ~Patience() = default;

  // How much longer the scope may last, from now on and more than nothing; none: it ends.
  [[nodiscard]] virtual std::optional<std::chrono::milliseconds> more() = 0;
};

// Every operation of a Loop belongs to a Scope. When the deadline passes, all its operations in
// flight complete with kTimeout; on cancel() with kCancelled; what is begun afterwards fails at
// once in the same way. An operation that had succeeded before it heard of the end still
// reports its success, so no byte is lost to a late cancellation.
//
// Destroying a Scope cancels what still waits in it. Used on the loop's thread only.
class Scope final : private Timer, public ListHook<InnerScopeTag> {
 public:
  // `timeout` counts from loop.now(); none: no deadline.
  explicit Scope(Loop& loop, std::optional<std::chrono::milliseconds> timeout = std::nullopt);
  // Within `outer`, with whose end it ends for the same reason; its own end is not `outer`'s.
  Scope(Scope& outer, std::chrono::milliseconds timeout);
  ~Scope() override;

  // Moves the deadline to `timeout` from loop.now(). Cheap enough for every chunk of data: a
  // later deadline is only noted, and looked at when the earlier one comes. A Scope that has
  // ended stays so.
  void extend(std::chrono::milliseconds timeout);

  // Has `patience`, which is borrowed, asked each time that the deadline comes.
  void ask_at_deadline(Patience& patience) { patience_ = &patience; }

  void cancel();

  [[nodiscard]] bool expired() const;
  // It was `outer` that ended, not this one alone.
  [[nodiscard]] bool ended_with_outer() const { return ended_with_outer_; }
  [[nodiscard]] bool cancelled() const { return ended_ == ktls::ErrorCode::kCancelled; }

  // The Error with which an operation begun now would fail; none while the Scope is open.
  [[nodiscard]] std::optional<ktls::Error> failure() const;

  [[nodiscard]] Loop& loop() const { return loop_; }

  // What operations answer that ended for `why`: kTimeout or kCancelled.
  [[nodiscard]] static ktls::Error error(ktls::ErrorCode why);

 private:
  friend class Wait;

  void add(Wait& wait) { waits_.push_back(wait); }
  void fire() override;
  void end(ktls::ErrorCode why);
  void end_with_outer(ktls::ErrorCode why);

  Loop& loop_;
  Patience* patience_ = nullptr;
  std::optional<Clock::time_point> deadline_;
  std::optional<ktls::ErrorCode> ended_;
  bool ended_with_outer_ = false;
  List<Wait, ScopeTag> waits_;
  List<Scope, InnerScopeTag> inner_;
};

}  // namespace bridge
