// AeadProtection12: the AEAD records of TLS 1.2 (RFC 5246 section 6.2.3.3), with the nonces of
// AES-GCM and CCM (RFC 5288, RFC 6655), or of ChaCha20-Poly1305 (RFC 7905, and its draft 00).
#pragma once

#include <memory>

#include "userspace/crypto/aead.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

class AeadProtection12 final : public Protection {
 public:
  // `keys` have the sizes of `cipher` in TLS 1.2; `version` is what headers and associated data
  // say. The record numbered `sequence` is sealed with `explicit_nonce`, the next one with its
  // successor, and so on; the sum wraps at 2^64, which repeats none as long as sequence numbers do
  // not wrap. Errors: as Aead::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(
      ProtocolVersion version, const BulkCipher& cipher, const TrafficKeys& keys,
      std::uint64_t sequence, std::uint64_t explicit_nonce);

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // The explicit nonce is the peer's choice, and taken from the wire. A body too short for nonce
  // and tag is bad_record_mac, as in libssl.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;
  [[nodiscard]] std::uint64_t explicit_nonce(std::uint64_t sequence) const override;

 private:
  AeadProtection12(ProtocolVersion version, Aead aead, WriteIv iv, std::size_t explicit_nonce_size,
                   std::uint64_t explicit_nonce_offset)
      : version_(version),
        aead_(std::move(aead)),
        iv_(std::move(iv)),
        explicit_nonce_size_(explicit_nonce_size),
        explicit_nonce_offset_(explicit_nonce_offset) {}

  // `explicit_nonce` is what the record carries: 8 bytes, or none.
  [[nodiscard]] Aead::Nonce nonce(std::uint64_t sequence,
                                  std::span<const std::uint8_t> explicit_nonce) const;
  // RFC 5246 section 6.2.3.3: "additional_data = seq_num + TLSCompressed.type +
  // TLSCompressed.version + TLSCompressed.length", the length being that of the plaintext.
  using AssociatedData = std::array<std::uint8_t, sizeof(std::uint64_t) + kRecordHeaderSize>;
  [[nodiscard]] AssociatedData associated_data(std::uint64_t sequence, ContentType type,
                                               std::size_t size) const;

  ProtocolVersion version_;
  Aead aead_;
  WriteIv iv_;
  std::size_t explicit_nonce_size_;
  std::uint64_t explicit_nonce_offset_;
};

}  // namespace tls
