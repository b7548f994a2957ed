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

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // A body too short for its tag is bad_record_mac, as in libssl. Type 23 and version 3.3 on the
  // outside, whatever is inside.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;

 private:
  AeadProtection13(Aead aead, WriteIv iv) : aead_(std::move(aead)), iv_(std::move(iv)) {}

  Aead aead_;
  WriteIv iv_;
};

}  // namespace tls
