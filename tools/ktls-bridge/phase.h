// Phase and Cancellation: a session's steps have deadlines of their own, and all end when the
// session is cancelled.
#pragma once

#include <chrono>

#include "userspace/io/loop.h"
#include "userspace/io/scope.h"

namespace tools {

// Ends a session early, whichever phase it is in. Used on the loop's thread only.
class Cancellation {
 public:
  void cancel();
  [[nodiscard]] bool cancelled() const { return cancelled_; }

 private:
  friend class Phase;

  bool cancelled_ = false;
  bridge::Scope* current_ = nullptr;
};

// One phase of a session, one at a time. Its scope ends at the deadline or with the session.
class Phase {
 public:
  Phase(bridge::Loop& loop, Cancellation& cancellation, std::chrono::milliseconds timeout);
  ~Phase() { cancellation_.current_ = nullptr; }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;

  [[nodiscard]] bridge::Scope& scope() { return scope_; }

 private:
  Cancellation& cancellation_;
  bridge::Scope scope_;
};

}  // namespace tools
