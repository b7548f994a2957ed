// IntegrityProtection13: TLS 1.3 with a tag and no encryption (RFC 9150), for peers that must be
// watched and may not be altered.
#pragma once

#include <memory>

#include "userspace/crypto/hmac.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

class IntegrityProtection13 final : public Protection {
 public:
  // Key and IV are as long as the hash (RFC 9150 section 6). Errors: as Hmac::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(HashAlgorithm algorithm,
                                                                        const TrafficKeys& keys);

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;

 private:
  IntegrityProtection13(Hmac hmac, WriteIv iv) : hmac_(std::move(hmac)), iv_(std::move(iv)) {}

  // RFC 9150 section 5: HMAC(write_key, nonce || additional_data || TLSInnerPlaintext).
  [[nodiscard]] ktls::Result<void> tag(std::uint64_t sequence,
                                       std::span<const std::uint8_t> associated_data,
                                       std::span<const std::uint8_t> inner,
                                       std::span<std::uint8_t> out);

  Hmac hmac_;
  WriteIv iv_;
};

}  // namespace tls
