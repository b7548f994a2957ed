// NullProtection: records in the clear, as every connection starts (RFC 5246 section 6.1: "The
// initial current state always specifies that no encryption, compression, or MAC will be used").
#pragma once

#include "userspace/record/protection.h"

namespace tls {

class NullProtection final : public Protection {
 public:
  // `version` is what headers say; SSLv2's (0x0002, or 0x0200) makes them SSLv2's.
  explicit NullProtection(std::uint16_t version) : version_(version) {}

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;

  [[nodiscard]] bool is_ssl2() const override;

 private:
  std::uint16_t version_;
};

}  // namespace tls
