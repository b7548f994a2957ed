// RecordLayer: turns bytes of the peer into records and content into records, in memory; no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "ktls/base/result.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
#include "userspace/record/record_rules.h"
#include "userspace/suite/content_type.h"

namespace tls {

// At least `count` more bytes are needed before next_record() can say more; asking the transport
// for exactly that many never reads past a record.
struct NeedBytes {
  std::size_t count;
};

// A record that was opened. `content` lies in the bytes that were fed, valid as long as they are.
//   header  as it was received; of a protected record of TLS 1.3, what it would have been without
//           protection: the inner type, version 0x0304, and the content's size
struct Record {
  ContentType type;
  std::span<std::uint8_t> content;
  RecordHeader header;
};

using NextRecord = std::variant<NeedBytes, Record>;

// How many zero bytes to add to a TLS 1.3 record: given its content's size, its type, and the most
// that fits. More than fits is cut off.
using PaddingPolicy =
    std::function<std::size_t(std::size_t content_size, ContentType type, std::size_t padding_max)>;

// One connection's two directions, in the clear at first. States are set as pending, then become
// current by a change, as RFC 5246 section 6.1 says; released ones are gone for good.
class RecordLayer {
 public:
  explicit RecordLayer(const RecordRules& rules = kStrictRules) : rules_(rules) {}

  // What records in the clear say, both ways: TLS 1.2 at first. SSLv2's (0x0002, 0x0200) makes them
  // SSLv2's. In TLS 1.3 they say 0x0303, and `is_13` is true.
  void set_version(std::uint16_t wire_version, bool is_13 = false);

  // Bytes that a record's body may be longer than its content: kExpansionMax at first, which is
  // also what a layer for several versions keeps; kExpansionMax13 once TLS 1.3 has been agreed on.
  void set_expansion_max(std::size_t size) { expansion_max_ = size; }

  // --- reading -------------------------------------------------------------------------------
  // Borrows `wire`: the bytes not yet consumed, from the first unread one on; they are decrypted
  // in place. Replaces what was borrowed before, so the caller may move the unread rest to the
  // front of its buffer, append to it, and feed the whole again.
  void feed(std::span<std::uint8_t> wire) { unread_ = wire; }
  [[nodiscard]] std::span<std::uint8_t> unread() const { return unread_; }

  // Opens the next record of what was fed. Errors carry the alert to send; after an error the
  // direction is dead and answers the same error again. kProtocolViolation after release_read().
  [[nodiscard]] ktls::Result<NextRecord> next_record();

  // Bytes that next_record() would ask for; 0 when it has something to say.
  [[nodiscard]] std::size_t bytes_wanted() const;

  // Opens a record whose header was taken apart elsewhere; `body` is opened in place. Nothing is
  // skipped here. Errors as of next_record().
  [[nodiscard]] ktls::Result<Record> open_body(const RecordHeader& header,
                                               std::span<std::uint8_t> body);

  // Content bytes that a record of the peer may have at most: 2^14, or less where that was agreed
  // (RFC 8449, RFC 6066 section 4). In TLS 1.3 the type and the padding come on top.
  void set_receive_limit(std::size_t size) { receive_limit_ = size; }

  // Records that do not open are skipped, up to that many bytes of them in all, until one does:
  // what a server does that was sent early data which it cannot read (RFC 8446 section 4.2.10).
  // set_early_data() begins the count anew, another limit goes on with it.
  void set_early_data(bool is_skipped);
  void set_early_data_max(std::size_t size) { early_data_max_ = size; }
  [[nodiscard]] bool skips_early_data() const { return skips_early_data_; }
  [[nodiscard]] std::size_t early_data_skipped() const { return early_data_skipped_; }

  // Records of SSLv2 have no type: it is handshake until this is set, then application data.
  void set_handshake_finished(bool finished) { handshake_finished_ = finished; }

  // --- writing -------------------------------------------------------------------------------
  // Bytes that seal() writes for `content_size` bytes of content at most: exactly that many unless
  // there is a padding policy, or the first byte goes alone (see seal). 0 after release_write().
  [[nodiscard]] std::size_t sealed_size(std::size_t content_size) const;

  // Content bytes of the largest record that seal() makes: 1 to 2^14, which it is at first. Less
  // where the peer asked for less (RFC 6066 section 4, RFC 8449).
  void set_fragment_size_max(std::size_t size) { fragment_size_max_ = size; }

  // For the records of TLS 1.3 that seal() makes; none at first.
  void set_padding_policy(PaddingPolicy policy) { padding_policy_ = std::move(policy); }

  // Cuts `content` into records of at most the size set above and seals them all into `wire`, which
  // has room for sealed_size(). Empty content gives one empty record. Returns the bytes written.
  // From SSLv2 to TLS 1.0 with CBC, application data begins with a record of one byte: its MAC
  // makes the next record's IV unknowable (BEAST). In TLS 1.3 under keys a change_cipher_spec goes
  // out in the clear (RFC 8446 appendix D.4). Errors that leave everything as it was:
  // kInvalidArgument for too little room, for a type that is not TLS's, and for an empty record of
  // another type than application data (RFC 5246 section 6.2.1 and RFC 8446 section 5.1: "MUST NOT
  // send zero-length fragments"); kLimitReached when the sequence number would wrap;
  // kProtocolViolation after release_write(). After kCrypto the direction is dead and answers the
  // same error again.
  [[nodiscard]] ktls::Result<std::size_t> seal(ContentType type,
                                               std::span<const std::uint8_t> content,
                                               std::span<std::uint8_t> wire);

  // One record as it is: no fragments, no limit but what a header can say. Errors as of seal(), and
  // of ConnectionState::seal(); kInvalidArgument for the type 0 in TLS 1.3. The size is exact.
  [[nodiscard]] std::size_t sealed_record_size(const Outgoing& outgoing) const;
  [[nodiscard]] ktls::Result<std::size_t> seal_record(const Outgoing& outgoing,
                                                      std::span<std::uint8_t> wire);

  // --- connection states ---------------------------------------------------------------------
  void set_pending_read(ConnectionState state) { read_.pending = std::move(state); }
  void set_pending_write(ConnectionState state) { write_.pending = std::move(state); }
  // Pending becomes current. Reading changes between two records, so what is unread is opened
  // with the new state: after a KeyUpdate further records may have been fed already. In SSLv2 the
  // sequence number goes on. Error: kProtocolViolation when no state is pending, or the direction
  // was released; a dead direction answers its error.
  [[nodiscard]] ktls::Result<void> change_read_state();
  [[nodiscard]] ktls::Result<void> change_write_state();

  // Hands the current state out for good: this layer refuses the direction from then on.
  // release_read fails with kProtocolViolation while ciphertext is buffered (unread() not empty),
  // both fail with it while the state is null, with kLimitReached when no sequence number is left
  // for the next holder, and a dead direction answers its error.
  [[nodiscard]] ktls::Result<ConnectionState> release_read();
  [[nodiscard]] ktls::Result<ConnectionState> release_write();

  // A state that was released and found no other holder comes back: the direction goes on with it.
  void take_back_read(ConnectionState state) { read_.current = std::move(state); }
  void take_back_write(ConnectionState state) { write_.current = std::move(state); }

  // For a direction that is handled elsewhere from the start: its states go, and it is refused as
  // after a release.
  void close_read() { read_.close(); }
  void close_write() { write_.close(); }

  // Both directions begin anew, in the clear; all keys go.
  void reset_states();

  // See RecordRules::changes_to_clear_unsafely.
  [[nodiscard]] const RecordRules& rules() const { return rules_; }
  void allow_changes_to_clear_unsafely(bool allow) { rules_.changes_to_clear_unsafely = allow; }

  // Empty after release.
  [[nodiscard]] const std::optional<ConnectionState>& read_state() const { return read_.current; }
  [[nodiscard]] const std::optional<ConnectionState>& write_state() const { return write_.current; }
  [[nodiscard]] std::optional<ConnectionState>& read_state() { return read_.current; }
  [[nodiscard]] std::optional<ConnectionState>& write_state() { return write_.current; }

 private:
  struct Half {
    std::optional<ConnectionState> current = ConnectionState::null();
    std::optional<ConnectionState> pending;
    std::optional<ktls::Error> error;  // set: the direction is dead

    // No error and not released.
    [[nodiscard]] ktls::Result<void> usable() const;
    [[nodiscard]] ktls::Result<void> change();  // a usable one
    [[nodiscard]] ktls::Result<ConnectionState> release();
    void close();
  };

  [[nodiscard]] ktls::Result<void> change(Half& half);
  // NeedBytes, or what precedes unread_'s first body.
  struct Framed {
    RecordHeader header;
    std::size_t header_size;
  };
  [[nodiscard]] ktls::Result<std::variant<NeedBytes, Framed>> decode_header() const;
  [[nodiscard]] bool is_ssl2() const;
  [[nodiscard]] bool may_be_ssl2() const;
  [[nodiscard]] std::size_t header_size(std::uint8_t first) const;
  [[nodiscard]] ktls::Result<NextRecord> open_next();
  [[nodiscard]] ktls::Result<Record> open_record(const RecordHeader& header,
                                                 std::span<std::uint8_t> body);
  [[nodiscard]] ktls::Result<void> check_size(const RecordHeader& header) const;
  [[nodiscard]] ktls::Result<void> check_header(const RecordHeader& header) const;
  [[nodiscard]] ktls::Result<void> check_opened(const Opened& opened, bool is_13) const;
  [[nodiscard]] ktls::Result<void> check_type(const Opened& opened, bool is_13);
  [[nodiscard]] bool is_clear_in_13(const RecordHeader& header, std::size_t body_size) const;
  [[nodiscard]] bool skips(const ktls::Error& error, std::size_t body_size);
  [[nodiscard]] bool reads_13() const;
  [[nodiscard]] bool splits_first_byte(ContentType type) const;
  [[nodiscard]] bool goes_in_clear(ContentType type) const;
  [[nodiscard]] std::size_t fragment_size_max() const;
  [[nodiscard]] std::size_t padding_for(ContentType type, std::size_t content_size) const;

  RecordRules rules_;
  std::uint16_t wire_version_ = kRecordVersion;
  bool is_13_ = false;
  std::size_t expansion_max_ = kExpansionMax;
  std::span<std::uint8_t> unread_;
  std::size_t empty_records_ = 0;
  std::size_t receive_limit_ = kPlaintextSizeMax;
  bool has_opened_protected_ = false;
  bool skips_early_data_ = false;
  std::size_t early_data_max_ = 0;
  std::size_t early_data_skipped_ = 0;
  std::size_t empty_records_skipped_ = 0;
  bool handshake_finished_ = false;
  std::size_t fragment_size_max_ = kPlaintextSizeMax;
  PaddingPolicy padding_policy_;
  Half read_, write_;
};

}  // namespace tls
