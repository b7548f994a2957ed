// AeadProtection13: the AEAD records of TLS 1.3 (RFC 8446 section 5.2), whose type and padding are
// encrypted with the content.
#pragma once

#include <memory>

#include "userspace/crypto/aead.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

class AeadProtection13 final : public Protection {
 public:
  // `keys` have the sizes of `cipher` in TLS 1.3. Errors: as Aead::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(const BulkCipher& cipher,
                                                                        const TrafficKeys& keys);

  [[nodiscard]] std::size_t overhead() const override;
  // Adds no padding.
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, ContentType type,
                                        std::span<const std::uint8_t> content,
                                        std::span<std::uint8_t> wire) override;
  // Type 23 and version 3.3 on the outside, whatever is inside. A change_cipher_spec in the clear
  // belongs to a handshake's compatibility mode (RFC 8446 appendix D.4), which is over when these
  // keys come into this layer: unexpected_message.
  [[nodiscard]] ktls::Result<void> check_header(const RecordHeader& header) const override;
  // A body too short for its tag is bad_record_mac, as in libssl.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence,
                                          std::span<std::uint8_t> record) override;
  [[nodiscard]] std::uint64_t explicit_nonce(std::uint64_t) const override { return 0; }

 private:
  AeadProtection13(Aead aead, ktls::RecordIv iv) : aead_(std::move(aead)), iv_(std::move(iv)) {}

  Aead aead_;
  ktls::RecordIv iv_;
};

}  // namespace tls
