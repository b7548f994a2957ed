// RecordLayer: turns bytes of the peer into records and content into records, in memory; no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "ktls/base/result.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
#include "userspace/suite/content_type.h"

namespace tls {

// Empty records are legal (RFC 8446 section 5.1: "Zero-length fragments of Application Data MAY be
// sent, as they are potentially useful as a traffic analysis countermeasure"), but each costs a
// decryption and brings nothing: this many in a row are taken, the next one ends the connection.
// BoringSSL's kMaxEmptyRecords has the same reason and the same number.
inline constexpr std::size_t kEmptyRecordsMax = 32;

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

// One connection's two directions, in the clear at first. States are set as pending, then become
// current by a change, as RFC 5246 section 6.1 says; released ones are gone for good.
class RecordLayer {
 public:
  // --- reading -------------------------------------------------------------------------------
  // Borrows `wire`: the bytes not yet consumed, from the first unread one on; they are decrypted
  // in place. Replaces what was borrowed before, so the caller may move the unread rest to the
  // front of its buffer, append to it, and feed the whole again.
  void feed(std::span<std::uint8_t> wire) { unread_ = wire; }
  [[nodiscard]] std::span<std::uint8_t> unread() const { return unread_; }

  // Opens the next record of what was fed. Errors carry the alert to send; after an error the
  // direction is dead and answers the same error again. kProtocolViolation after release_read().
  [[nodiscard]] ktls::Result<NextRecord> next_record();

  // --- writing -------------------------------------------------------------------------------
  // Bytes that seal() writes for `content_size` bytes of content; 0 after release_write().
  [[nodiscard]] std::size_t sealed_size(std::size_t content_size) const;

  // Content bytes of the largest record that seal() makes: 1 to 2^14, which it is at first. Less
  // where the peer asked for less (RFC 6066 section 4).
  void set_fragment_size_max(std::size_t size) { fragment_size_max_ = size; }

  // Cuts `content` into records of at most the size set above and seals them all into `wire`, which
  // has room for sealed_size(). Empty content gives one empty record. Returns the bytes written.
  // Errors that leave everything as it was: kInvalidArgument for too little room, for a type that
  // is not TLS's, and for an empty record of another type than application data (RFC 5246 section
  // 6.2.1 and RFC 8446 section 5.1: "MUST NOT send zero-length fragments"); kLimitReached when the
  // sequence number would wrap; kProtocolViolation after release_write(). After kCrypto the
  // direction is dead and answers the same error again.
  [[nodiscard]] ktls::Result<std::size_t> seal(ContentType type,
                                               std::span<const std::uint8_t> content,
                                               std::span<std::uint8_t> wire);

  // --- connection states ---------------------------------------------------------------------
  void set_pending_read(ConnectionState state) { read_.pending = std::move(state); }
  void set_pending_write(ConnectionState state) { write_.pending = std::move(state); }
  // Pending becomes current. Reading changes between two records, so what is unread is opened
  // with the new state: after a KeyUpdate further records may have been fed already. Error:
  // kProtocolViolation when no state is pending, or the direction was released; a dead direction
  // answers its error.
  [[nodiscard]] ktls::Result<void> change_read_state();
  [[nodiscard]] ktls::Result<void> change_write_state();

  // Hands the current state out for good: this layer refuses the direction from then on.
  // release_read fails with kProtocolViolation while ciphertext is buffered (unread() not empty),
  // both fail with it while the state is null, and a dead direction answers its error.
  [[nodiscard]] ktls::Result<ConnectionState> release_read();
  [[nodiscard]] ktls::Result<ConnectionState> release_write();

  // For a direction that is handled elsewhere from the start: its states go, and it is refused as
  // after a release.
  void close_read() { read_.close(); }
  void close_write() { write_.close(); }

  // Empty after release.
  [[nodiscard]] const std::optional<ConnectionState>& read_state() const { return read_.current; }
  [[nodiscard]] const std::optional<ConnectionState>& write_state() const { return write_.current; }

 private:
  struct Half {
    std::optional<ConnectionState> current = ConnectionState::null();
    std::optional<ConnectionState> pending;
    std::optional<ktls::Error> error;  // set: the direction is dead

    // No error and not released.
    [[nodiscard]] ktls::Result<void> usable() const;
    [[nodiscard]] ktls::Result<void> change();
    [[nodiscard]] ktls::Result<ConnectionState> release();
    void close();
  };

  [[nodiscard]] ktls::Result<NextRecord> open_next();
  [[nodiscard]] ktls::Result<void> count_if_empty(const ConnectionState::Opened& opened);

  std::span<std::uint8_t> unread_;
  std::size_t empty_records_ = 0;
  std::size_t fragment_size_max_ = kPlaintextSizeMax;
  Half read_, write_;
};

}  // namespace tls
