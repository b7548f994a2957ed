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

class ConnectionState {
 public:
  // Which protection class serves (version, suite) is decided here; after this nobody asks for
  // the version again.
  //   sequence        number of the next record
  //   explicit_nonce  TLS 1.2 AES-GCM, writing: explicit nonce of the next record; it counts up
  //                   from there. Ignored elsewhere.
  // Errors: kInvalidArgument for lengths that do not fit the suite, kCrypto.
  [[nodiscard]] static ktls::Result<ConnectionState> create(const CipherSuite& suite,
                                                            TrafficKeys keys,
                                                            std::uint64_t sequence,
                                                            std::uint64_t explicit_nonce);

  ConnectionState(ConnectionState&&) noexcept;
  ConnectionState& operator=(ConnectionState&&) noexcept;
  ~ConnectionState();

  [[nodiscard]] const CipherSuite& suite() const { return *suite_; }
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }

  // Bytes a record is longer than its content, header included.
  [[nodiscard]] std::size_t overhead() const;

  // Seals one record of `type` holding `content` (at most 2^14 bytes) into `wire`, header
  // included, and consumes a sequence number. `content` and `wire` do not overlap. Returns the
  // size written. Errors: kLimitReached when the sequence number would wrap, kInvalidArgument
  // when `wire` is too small; no number is consumed then.
  [[nodiscard]] ktls::Result<std::size_t> seal(ContentType type,
                                               std::span<const std::uint8_t> content,
                                               std::span<std::uint8_t> wire);

  // Opens one whole record in place. `record` starts with the header. The content lies inside
  // `record`. Errors, each with its alert: kBadRecordMac, kRecordOverflow, kUnexpectedMessage,
  // kDecodeError. The sequence number is consumed on success only.
  struct Opened {
    ContentType type;
    std::span<std::uint8_t> content;
  };
  [[nodiscard]] ktls::Result<Opened> open(std::span<std::uint8_t> record);

  // The keys for the kernel; the state is spent. Error: kUnsupported when the kernel has no such
  // cipher (the state is spent then, too: ask suite().bulk_cipher->kernel before).
  [[nodiscard]] static ktls::Result<ktls::RecordKeys> into_record_keys(ConnectionState state);

 private:
  ConnectionState() = default;

  const CipherSuite* suite_ = nullptr;
  TrafficKeys keys_;
  std::unique_ptr<Protection> protection_;
  std::uint64_t sequence_ = 0;
};

}  // namespace tls
