// NullProtection: records in the clear, as every connection starts (RFC 5246 section 6.1: "The
// initial current state always specifies that no encryption, compression, or MAC will be used").
#pragma once

#include "userspace/record/protection.h"

namespace tls {

class NullProtection final : public Protection {
 public:
  [[nodiscard]] std::size_t overhead() const override { return kRecordHeaderSize; }
  // Writes version 3.3, also for a ClientHello, where RFC 8446 section 5.1 leaves the choice.
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, ContentType type,
                                        std::span<const std::uint8_t> content,
                                        std::span<std::uint8_t> wire) override;
  // Any version 3.x passes: nothing has been agreed on yet, and RFC 8446 section 5.1 says of
  // legacy_record_version that it "MUST be ignored for all purposes".
  [[nodiscard]] ktls::Result<void> check_header(const RecordHeader& header) const override;
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence,
                                          std::span<std::uint8_t> record) override;
  [[nodiscard]] std::uint64_t explicit_nonce(std::uint64_t) const override { return 0; }
};

}  // namespace tls
