// The userspace transport: records opened and sealed here, by RecordLayer, moved by the event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "userspace/bridge/transport.h"
#include "userspace/io/async_mutex.h"
#include "userspace/io/buffer.h"
#include "userspace/io/loop.h"
#include "userspace/record/record_layer.h"

namespace bridge {

// Borrows the loop, the descriptor and the layer; they outlive it.
class UserspaceReceiver final : public Receiver {
 public:
  UserspaceReceiver(Loop& loop, int fd, tls::RecordLayer& layer)
      : loop_(&loop), fd_(fd), layer_(&layer) {}

  [[nodiscard]] Task<ktls::Result<ReceiveStep>> move_to(Scope& scope, int plain_fd) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] bool can_change_state() const override { return true; }

 private:
  // Opens the records that are here, up to a control record, without waiting. Answers the bytes
  // of plaintext, which stand together at the start of wire_ then.
  [[nodiscard]] ktls::Result<std::size_t> open_records();
  // Puts what comes next behind what is left of a record. False at the end of the stream.
  [[nodiscard]] Task<ktls::Result<bool>> receive_more(Scope& scope);

  Loop* loop_;
  int fd_;
  tls::RecordLayer* layer_;
  Buffer wire_;  // holds what was received and not yet opened; none while nothing is
  std::optional<ControlRecord> pending_control_;
};

class UserspaceSender final : public Sender {
 public:
  UserspaceSender(Loop& loop, int fd, tls::RecordLayer& layer)
      : loop_(&loop), fd_(fd), layer_(&layer) {}

  [[nodiscard]] Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) override;
  [[nodiscard]] Task<ktls::Result<void>> send_record(
      Scope& scope, tls::ContentType type, std::span<const std::uint8_t> content) override;
  [[nodiscard]] Task<ktls::Result<void>> change_state(Scope& scope,
                                                      std::span<const std::uint8_t> last,
                                                      tls::ConnectionState state) override;
  [[nodiscard]] bool busy() const override { return writing_.locked(); }
  [[nodiscard]] bool can_change_state() const override { return true; }

 private:
  // Seals and sends; the caller holds writing_.
  [[nodiscard]] Task<ktls::Result<void>> seal_and_send(Scope& scope, tls::ContentType type,
                                                       std::span<const std::uint8_t> content);

  Loop* loop_;
  int fd_;
  tls::RecordLayer* layer_;
  AsyncMutex writing_;   // records leave in the order of their sequence numbers
  bool broken_ = false;  // a record went out in part: nothing can follow it
};

}  // namespace bridge
