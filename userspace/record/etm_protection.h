// EtmProtection: encryption with a block cipher in CBC mode, then the MAC (RFC 7366).
#pragma once

#include <memory>
#include <utility>

#include "userspace/record/block_parts.h"
#include "userspace/record/protection.h"

namespace tls {

class EtmProtection final : public Protection {
 public:
  // Errors: as BlockParts::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(
      ProtocolVersion version, const CipherSuite& suite, const TrafficKeys& keys,
      std::span<const std::uint8_t> fixed_iv_block);

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // RFC 7366 section 3: "The MAC SHALL be evaluated before any further processing such as
  // decryption is performed", so that only what the peer made is ever decrypted, and the padding
  // needs no constant time.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;
  void set_fixed_iv_block(std::span<const std::uint8_t> block) override {
    parts_.replace_fixed_iv_block(block);
  }

 private:
  explicit EtmProtection(BlockParts parts) : parts_(std::move(parts)) {}

  BlockParts parts_;
};

}  // namespace tls
