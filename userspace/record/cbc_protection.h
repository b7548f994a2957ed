// CbcProtection: MAC, then encryption with a block cipher in CBC mode (RFC 5246 section 6.2.3.2).
#pragma once

#include <memory>
#include <utility>

#include "userspace/record/block_parts.h"
#include "userspace/record/protection.h"

namespace tls {

class CbcProtection final : public Protection {
 public:
  // Errors: as BlockParts::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(
      ProtocolVersion version, const CipherSuite& suite, const TrafficKeys& keys,
      std::span<const std::uint8_t> fixed_iv_block);

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // Padding and MAC are checked in a time that depends on the body's size alone, and whatever is
  // wrong with them is the same bad_record_mac (RFC 5246 section 6.2.3.2 on timing attacks).
  // kDecryptionFailed for a body that is not whole blocks, which everybody can see.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;
  void set_fixed_iv_block(std::span<const std::uint8_t> block) override {
    parts_.replace_fixed_iv_block(block);
  }

 private:
  explicit CbcProtection(BlockParts parts) : parts_(std::move(parts)) {}

  BlockParts parts_;
};

}  // namespace tls
