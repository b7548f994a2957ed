// RingWait: one io_uring request and the coroutine that awaits its completion.
#pragma once

#include <liburing.h>

#include "ktls/base/result.h"
#include "userspace/io/buffer.h"
#include "userspace/io/flight.h"
#include "userspace/io/scope.h"
#include "userspace/io/wait.h"

namespace bridge {

class RingLoop;

// Made right before it is awaited: fill request(), let the Flight keep what the kernel will touch,
// then await: the completion's result, or kSystem with its errno, or the Scope's end when that is
// why it failed. A request that succeeded in spite of the Scope's end is reported as a success;
// ended() tells.
class RingWait final : public Wait {
 public:
  // `call` names the operation in errors; a literal.
  RingWait(RingLoop& loop, Scope& scope, const char* call);
  ~RingWait() override;

  [[nodiscard]] io_uring_sqe& request() { return *request_; }
  [[nodiscard]] Flight& flight() { return *flight_; }
  [[nodiscard]] bool ended() const { return aborted(); }
  [[nodiscard]] ktls::Error end_error() const { return abort_error(); }

  [[nodiscard]] ktls::Result<int> await_resume() const;

  // The block that came with the completion, if any.
  [[nodiscard]] Buffer take_provided() { return std::move(provided_); }

 private:
  friend class RingLoop;

  [[nodiscard]] bool begin() override;
  void stop() override;
  void complete(int result, Buffer provided);

  RingLoop& loop_;
  Flight* flight_;
  io_uring_sqe* request_;  // in the submission queue, from which nothing goes before the await
  const char* call_;
  int result_ = 0;
  Buffer provided_;
};

}  // namespace bridge
