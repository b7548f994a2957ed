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

// Every state is made by create() or null(). One that was moved from is spent: what can fail
// answers kProtocolViolation from then on.
class ConnectionState {
 public:
  // Which protection class serves (version, suite) is decided here; after this nobody asks for
  // the version again.
  //   sequence        number of the next record
  //   explicit_nonce  TLS 1.2 AES-GCM, writing: explicit nonce of the next record; it counts up
  //                   from there. Ignored elsewhere.
  // Errors: kInvalidArgument for lengths that do not fit the suite, kUnsupported for a suite that
  // libcrypto cannot do here, kCrypto.
  [[nodiscard]] static ktls::Result<ConnectionState> create(const CipherSuite& suite,
                                                            TrafficKeys keys,
                                                            std::uint64_t sequence,
                                                            std::uint64_t explicit_nonce);

  // Records in the clear: suite TLS_NULL_WITH_NULL_NULL, no keys.
  [[nodiscard]] static ConnectionState null();

  ConnectionState(ConnectionState&&) noexcept;
  ConnectionState& operator=(ConnectionState&&) noexcept;
  ~ConnectionState();

  [[nodiscard]] const CipherSuite& suite() const { return *suite_; }
  // Number of the next record.
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  [[nodiscard]] bool is_null() const { return suite_->bulk_cipher->kind == ProtectionKind::kNull; }

  // Records that can still be sealed or opened before the sequence number would wrap (UINT64_MAX
  // when it is one more). The suite's record_limit is a smaller, cryptographic bound, and its
  // keeper is whoever can change keys.
  [[nodiscard]] std::uint64_t records_left() const;

  // Bytes a record is longer than its content, header included; 0 when spent.
  [[nodiscard]] std::size_t overhead() const;

  // Seals one record of `type` holding `content` (at most 2^14 bytes) into `wire`, header
  // included, and consumes a sequence number. `content` and `wire` do not overlap. Returns the
  // size written. Errors: kLimitReached when the sequence number would wrap, kInvalidArgument
  // when `wire` is too small or `content` too long; no number is consumed then. kCrypto.
  [[nodiscard]] ktls::Result<std::size_t> seal(ContentType type,
                                               std::span<const std::uint8_t> content,
                                               std::span<std::uint8_t> wire);

  // What can be known of the next record before its body is there. Errors as of open().
  [[nodiscard]] ktls::Result<void> check_header(const RecordHeader& header) const;

  // Opens one whole record in place. `record` starts with the header. The content lies inside
  // `record`. Errors, each with its alert: kBadRecordMac, kRecordOverflow, kUnexpectedMessage,
  // kDecodeError (a version, or a size that is not the header's), kLimitReached. The sequence
  // number is consumed on success only.
  using Opened = Protection::Opened;
  [[nodiscard]] ktls::Result<Opened> open(std::span<std::uint8_t> record);

  // The keys for the kernel; the state is spent. Errors: kUnsupported when the kernel has no such
  // cipher, kLimitReached when there is no next sequence number (the state is spent then, too: ask
  // suite().bulk_cipher->kernel and records_left() before).
  [[nodiscard]] static ktls::Result<ktls::RecordKeys> into_record_keys(ConnectionState state);

 private:
  ConnectionState(const CipherSuite& suite, TrafficKeys keys,
                  std::unique_ptr<Protection> protection, std::uint64_t sequence);

  // kProtocolViolation when spent, kLimitReached when no sequence number is left.
  [[nodiscard]] ktls::Result<void> usable() const;
  void consume_sequence();

  const CipherSuite* suite_;
  TrafficKeys keys_;
  std::unique_ptr<Protection> protection_;
  std::uint64_t sequence_;
  bool sequence_exhausted_ = false;  // sequence_ is 2^64 - 1, and has been used
};

}  // namespace tls
