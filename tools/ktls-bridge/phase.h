// Phase and Cancellation: a session's steps have deadlines of their own, and all end when the
// session is cancelled.
#pragma once

#include <chrono>
#include <cstdint>

#include "userspace/io/loop.h"
#include "userspace/io/scope.h"

namespace tools {

// Ends a session early, whichever phase it is in. Used on the loop's thread only.
class Cancellation {
 public:
  void cancel();
  [[nodiscard]] bool cancelled() const { return cancelled_; }

  // The program is to end: nothing new is begun, and a phase that waits for something new is over.
  void drain();
  [[nodiscard]] bool draining() const { return draining_; }

 private:
  friend class Phase;

  bool cancelled_ = false;
  bool draining_ = false;
  bool ends_on_drain_ = false;  // the present phase
  bridge::Scope* current_ = nullptr;
};

// What a phase does when the program is to end.
enum class OnDrain : std::uint8_t { kGoOn, kEnd };

// One phase of a session, one at a time. Its scope ends at the deadline or with the session.
class Phase {
 public:
  Phase(bridge::Loop& loop, Cancellation& cancellation, std::chrono::milliseconds timeout,
        OnDrain on_drain = OnDrain::kGoOn);
  ~Phase() { cancellation_.current_ = nullptr; }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  [[nodiscard]] bridge::Scope& scope() { return scope_; }

 private:
  Cancellation& cancellation_;
  bridge::Scope scope_;
};

}  // namespace tools
