// AeadProtection12: the AEAD records of TLS 1.2 (RFC 5246 section 6.2.3.3), with the nonces of
// AES-GCM (RFC 5288) or of ChaCha20-Poly1305 (RFC 7905).
#pragma once

#include <memory>

#include "userspace/crypto/aead.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

class AeadProtection12 final : public Protection {
 public:
  // `keys` have the sizes of `cipher` in TLS 1.2. The record numbered `sequence` is sealed with
  // `explicit_nonce`, the next one with its successor, and so on; the sum wraps at 2^64, which
  // repeats none as long as sequence numbers do not wrap. Errors: as Aead::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(
      const BulkCipher& cipher, const TrafficKeys& keys, std::uint64_t sequence,
      std::uint64_t explicit_nonce);

  [[nodiscard]] std::size_t overhead() const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, ContentType type,
                                        std::span<const std::uint8_t> content,
                                        std::span<std::uint8_t> wire) override;
  // The version is exactly 3.3.
  [[nodiscard]] ktls::Result<void> check_header(const RecordHeader& header) const override;
  // The explicit nonce is the peer's choice, and taken from the wire. A body too short for nonce
  // and tag is bad_record_mac, as in libssl.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence,
                                          std::span<std::uint8_t> record) override;
  [[nodiscard]] std::uint64_t explicit_nonce(std::uint64_t sequence) const override;

 private:
  AeadProtection12(Aead aead, ktls::RecordIv iv, std::size_t explicit_nonce_size,
                   std::uint64_t explicit_nonce_offset)
      : aead_(std::move(aead)),
        iv_(std::move(iv)),
        explicit_nonce_size_(explicit_nonce_size),
        explicit_nonce_offset_(explicit_nonce_offset) {}

  // `explicit_nonce` is what the record carries: 8 bytes, or none.
  [[nodiscard]] Aead::Nonce nonce(std::uint64_t sequence,
                                  std::span<const std::uint8_t> explicit_nonce) const;

  Aead aead_;
  ktls::RecordIv iv_;
  std::size_t explicit_nonce_size_;
  std::uint64_t explicit_nonce_offset_;
};

}  // namespace tls
