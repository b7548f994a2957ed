// StreamProtection: content and MAC, under a stream cipher or none (RFC 5246 section 6.2.3.1).
#pragma once

#include <memory>
#include <optional>

#include "userspace/crypto/stream_cipher.h"
#include "userspace/record/protection.h"
#include "userspace/record/record_mac.h"

namespace tls {

class StreamProtection final : public Protection {
 public:
  // `suite` has a MAC, and a stream cipher or the null one. Errors: as RecordMac::create and
  // StreamCipher::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(ProtocolVersion version,
                                                                        const CipherSuite& suite,
                                                                        const TrafficKeys& keys);

  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // A body shorter than its MAC is bad_record_mac.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;

 private:
  StreamProtection(ProtocolVersion version, RecordMac mac, std::optional<StreamCipher> cipher)
      : version_(version), mac_(std::move(mac)), cipher_(std::move(cipher)) {}

  ProtocolVersion version_;
  RecordMac mac_;
  std::optional<StreamCipher> cipher_;
};

}  // namespace tls
