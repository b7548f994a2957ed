// RecordLayer: turns bytes of the peer into records and content into records, in memory; no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>

#include "ktls/base/result.h"
#include "userspace/record/connection_state.h"
#include "userspace/suite/content_type.h"

namespace tls {

inline constexpr std::size_t kRecordHeaderSize = 5;
inline constexpr std::size_t kMaxPlaintextSize = 1 << 14;                 // RFC 8446 section 5.1
inline constexpr std::size_t kMaxCiphertextSize = kMaxPlaintextSize + 2048;  // RFC 5246 6.2.3
inline constexpr std::size_t kMaxRecordSize = kRecordHeaderSize + kMaxCiphertextSize;

// At least `count` more bytes are needed before next_record() can say more; asking the transport
// for exactly that many never reads past a record.
struct NeedBytes {
  std::size_t count;
};

// A record that was opened. `content` lies in the bytes that were fed, valid as long as they are.
struct Record {
  ContentType type;
  std::span<std::uint8_t> content;
};

using NextRecord = std::variant<NeedBytes, Record>;

// One connection's two directions. States are set as pending, then become current by a change,
// as RFC 5246 section 6.1 says; released ones are gone for good.
class RecordLayer {
 public:
  // --- reading -------------------------------------------------------------------------------
  // Borrows `wire`: the bytes not yet consumed, from the first unread one on; they are decrypted
  // in place. Replaces what was borrowed before, so the caller may move the unread rest to the
  // front of its buffer, append to it, and feed the whole again.
  void feed(std::span<std::uint8_t> wire) { unread_ = wire; }
  [[nodiscard]] std::span<std::uint8_t> unread() const { return unread_; }

  // Opens the next record of what was fed. Errors carry the alert to send; after an error the
  // direction is dead and answers the same error again.
  [[nodiscard]] ktls::Result<NextRecord> next_record();

  // --- writing -------------------------------------------------------------------------------
  // Bytes that seal() writes for `content_size` bytes of content.
  [[nodiscard]] std::size_t sealed_size(std::size_t content_size) const;

  // Cuts `content` into records of at most 2^14 bytes and seals them all into `wire`, which has
  // room for sealed_size(). Empty content gives one empty record. Returns the bytes written.
  [[nodiscard]] ktls::Result<std::size_t> seal(ContentType type,
                                               std::span<const std::uint8_t> content,
                                               std::span<std::uint8_t> wire);

  // --- connection states ---------------------------------------------------------------------
  void set_pending_read(ConnectionState state) { pending_read_ = std::move(state); }
  void set_pending_write(ConnectionState state) { pending_write_ = std::move(state); }
  // Pending becomes current. Error: kProtocolViolation when no state is pending, or the direction
  // was released.
  [[nodiscard]] ktls::Result<void> change_read_state();
  [[nodiscard]] ktls::Result<void> change_write_state();

  // Hands the current state out for good: this layer refuses the direction from then on.
  // release_read fails with kProtocolViolation while ciphertext is buffered (unread() not empty).
  [[nodiscard]] ktls::Result<ConnectionState> release_read();
  [[nodiscard]] ktls::Result<ConnectionState> release_write();

  [[nodiscard]] const std::optional<ConnectionState>& read_state() const { return read_; }
  [[nodiscard]] const std::optional<ConnectionState>& write_state() const { return write_; }

 private:
  std::span<std::uint8_t> unread_;
  std::optional<ConnectionState> read_, write_, pending_read_, pending_write_;
  bool read_released_ = false, write_released_ = false;
  std::optional<ktls::Error> read_error_;
};

}  // namespace tls
