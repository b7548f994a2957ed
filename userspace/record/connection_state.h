// ConnectionState: one direction's keys, sequence number and protection (RFC 5246 section 6.1,
// RFC 8446 section 5.3). Move-only: there is one holder of a key and its sequence number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "ktls/core/crypto_info.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {

// How a state starts, where it is not from the beginning.
//   sequence         number of the next record. A key stream, or a chain of blocks before TLS 1.1,
//                    starts anew all the same: there only known answers want another than 0
//   explicit_nonce   TLS 1.2 with an explicit nonce, writing: that of the next record; it counts up
//                    from there. Ignored elsewhere.
//   encrypt_then_mac RFC 7366; means something for CBC ciphers alone
//   fixed_iv_block   CBC from TLS 1.1 on: a block of random bytes, see CbcProtection
struct StateStart {
  std::uint64_t sequence = 0;
  std::uint64_t explicit_nonce = 0;
  bool encrypt_then_mac = false;
  std::span<const std::uint8_t> fixed_iv_block = {};
};

// Every state is made by create() or null(). One that was moved from is spent: what can fail
// answers kProtocolViolation from then on.
class ConnectionState {
 public:
  // Which protection class serves (version, suite, encrypt-then-MAC) is decided here; after this
  // nobody asks for the version again. Whether the suite belongs to the version is the handshake's
  // to know. Errors: kInvalidArgument for lengths that do not fit the suite, and for combinations
  // that no version has (a stream cipher with encrypt-then-MAC, CBC in TLS 1.3);
  // kUnsupported for a suite that libcrypto cannot do here; kCrypto.
  [[nodiscard]] static ktls::Result<ConnectionState> create(ProtocolVersion version,
                                                            const CipherSuite& suite,
                                                            TrafficKeys keys,
                                                            const StateStart& start = {});

  // Records in the clear: suite TLS_NULL_WITH_NULL_NULL, no keys. `wire_version` is what headers
  // say; SSLv2's (0x0002, 0x0200) makes them SSLv2's, and counts them.
  [[nodiscard]] static ConnectionState null(std::uint16_t wire_version = kRecordVersion,
                                            std::uint64_t sequence = 0);

  ConnectionState(ConnectionState&&) noexcept;
  ConnectionState& operator=(ConnectionState&&) noexcept;
  ~ConnectionState();

  [[nodiscard]] const CipherSuite& suite() const { return *suite_; }
  // Of a null state: TLS 1.2, whatever its headers say.
  [[nodiscard]] ProtocolVersion version() const { return version_; }
  [[nodiscard]] bool encrypt_then_mac() const { return encrypt_then_mac_; }
  // Number of the next record; the last one that was used, when records_left() is 0.
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  [[nodiscard]] bool is_null() const { return suite_ == &null_cipher_suite(); }

  // That of the next record sealed, where records carry one; 0 elsewhere, and when spent.
  [[nodiscard]] std::uint64_t explicit_nonce() const;

  // Records that can still be sealed or opened before the sequence number would wrap (UINT64_MAX
  // when it is one more). The suite's record_limit is a smaller, cryptographic bound, and its
  // keeper is whoever can change keys.
  [[nodiscard]] std::uint64_t records_left() const;

  // Content bytes of the largest record that its version allows; 0 when spent.
  [[nodiscard]] std::size_t content_size_max() const;

  // Size of the record, header included, that seal() makes of so much content and padding; 0 when
  // spent.
  [[nodiscard]] std::size_t sealed_size(std::size_t content_size, std::size_t padding = 0) const;

  // Seals one record into `wire`, header included, and consumes a sequence number. Content and
  // `wire` do not overlap. Returns the size written. Errors: kLimitReached when the sequence number
  // would wrap, kInvalidArgument when `wire` is too small or the record longer than its header can
  // say; no number is consumed then. kCrypto.
  [[nodiscard]] ktls::Result<std::size_t> seal(const Outgoing& outgoing,
                                               std::span<std::uint8_t> wire);

  // Opens the body of a record in place. The content lies inside `body`. Errors, each with its
  // alert: those of Protection::open, kLimitReached. The sequence number is consumed on success
  // only, so that a record which does not open can be skipped.
  [[nodiscard]] ktls::Result<Opened> open(const RecordHeader& header, std::span<std::uint8_t> body);

  // The keys for the kernel; the state is spent. Errors: kUnsupported when the kernel has no such
  // cipher or version, kLimitReached when there is no next sequence number (the state is spent
  // then, too: ask suite().bulk_cipher->kernel and records_left() before).
  [[nodiscard]] static ktls::Result<ktls::RecordKeys> into_record_keys(ConnectionState state);

  // Another fixed IV block for the CBC records to come. Ignored where there is none, or of another
  // size.
  void set_fixed_iv_block(std::span<const std::uint8_t> block);

  // SSLv2 counts records, not records under a key: a new state goes on where the old one was, and
  // has no number left if that one had none.
  void continue_from(const ConnectionState& before);

  // For comparison with known answers alone: a number that is set back is a nonce used twice.
  void set_sequence_unsafely(std::uint64_t sequence);
  [[nodiscard]] const TrafficKeys& keys_unsafely() const { return keys_; }

 private:
  ConnectionState(ProtocolVersion version, const CipherSuite& suite, TrafficKeys keys,
                  std::unique_ptr<Protection> protection, const StateStart& start);

  // kProtocolViolation when spent, kLimitReached when no sequence number is left.
  [[nodiscard]] ktls::Result<void> usable() const;
  // Records in the clear have no number that matters, except SSLv2's.
  void consume_sequence(bool is_ssl2);

  ProtocolVersion version_;
  const CipherSuite* suite_;
  TrafficKeys keys_;
  std::unique_ptr<Protection> protection_;
  std::uint64_t sequence_;
  bool encrypt_then_mac_;
  bool sequence_exhausted_ = false;  // sequence_ is 2^64 - 1, and has been used
};

}  // namespace tls
