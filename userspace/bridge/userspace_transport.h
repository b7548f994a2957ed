// The userspace transport: records opened and sealed here, by RecordLayer, moved by the event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "userspace/bridge/sender.h"
#include "userspace/bridge/transport.h"
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
  [[nodiscard]] Task<ktls::Result<ReceivedStep>> receive(Scope& scope) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] bool can_change_state() const override { return true; }
  [[nodiscard]] ktls::Result<std::uint64_t> sequence() override;
  void change_descriptor(int fd) override { fd_ = fd; }

 private:
  // Opens the records that are here, up to a control record, without waiting. Answers the bytes
  // of plaintext, which stand together at the start of wire_ then.
  [[nodiscard]] ktls::Result<std::size_t> open_records();
  // An idle connection holds no buffer.
  void release_if_empty();
  // Puts what comes next behind what is left of a record. False at the end of the stream.
  [[nodiscard]] Task<ktls::Result<bool>> receive_more(Scope& scope);

  Loop* loop_;
  int fd_;
  tls::RecordLayer* layer_;
  Buffer wire_;  // holds what was received and not yet opened; none while nothing is
  std::optional<ControlRecord> pending_control_;
};

// Borrows as UserspaceReceiver does. Collects no record: every call ends its last one, also with
// More::kYes.
class UserspaceSender final : public Sender {
 public:
  // `record_size`: content bytes of the largest record that `layer` makes.
  UserspaceSender(Loop& loop, int fd, tls::RecordLayer& layer, std::size_t record_size,
                  KeyChain keys, const KeyBudget& budget)
      : Sender(loop, fd, std::move(keys), budget), layer_(&layer), record_size_(record_size) {}

  [[nodiscard]] Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) override;
  [[nodiscard]] Task<ktls::Result<std::uint64_t>> send_file(Scope& scope, FileRange range) override;
  [[nodiscard]] bool can_update_key() const override { return keys().has_next(); }

 private:
  [[nodiscard]] Task<ktls::Result<void>> send_all(Scope& scope, tls::ContentType type,
                                                  std::span<const std::uint8_t> content,
                                                  ktls::More more) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] ktls::Result<void> count_records() override;
  [[nodiscard]] std::uint64_t records_of(std::size_t size) const override;
  // Seals and sends what fits one buffer and the budget: the bytes of content that are done.
  [[nodiscard]] Task<ktls::Result<std::size_t>> send_piece(Scope& scope, tls::ContentType type,
                                                           std::span<const std::uint8_t> content);
  // What fits a buffer of the file's range; empty at its end.
  [[nodiscard]] Task<ktls::Result<Buffer>> read_piece(Scope& scope, FileRange range);

  tls::RecordLayer* layer_;
  std::size_t record_size_;
};

}  // namespace bridge
