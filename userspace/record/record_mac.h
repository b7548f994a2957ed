// RecordMac: the MAC of records before AEADs: HMAC in TLS (RFC 5246 section 6.2.3.1), and what came
// before it in SSLv3 (RFC 6101 section 5.2.3.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "ktls/base/result.h"
#include "userspace/crypto/hash.h"
#include "userspace/crypto/hmac.h"
#include "userspace/schedule/traffic_keys.h"
#include "userspace/suite/content_type.h"

namespace tls {

class RecordMac {
 public:
  // `version` is SSLv3 to TLS 1.2; its number is part of TLS's MACs. Errors: kInvalidArgument for a
  // key that is not as long as the hash, kUnsupported for another hash than MD5 and SHA-1 in SSLv3,
  // or one that libcrypto does not offer; kCrypto.
  [[nodiscard]] static ktls::Result<RecordMac> create(ProtocolVersion version,
                                                      HashAlgorithm algorithm, const MacKey& key);

  // Into `out`, which is size() bytes. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> compute(std::uint64_t sequence, ContentType type,
                                           std::span<const std::uint8_t> content,
                                           std::span<std::uint8_t> out);

  // The same for the first `content_size` bytes of `record` (content, MAC, padding and the
  // padding's length), in a time that does not depend on content_size, which is what the padding
  // leaves: record.size() - size() - 1 at most, and less by `padding_max` at most. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> compute_secretly(std::uint64_t sequence, ContentType type,
                                                    std::span<const std::uint8_t> record,
                                                    std::size_t content_size,
                                                    std::size_t padding_max,
                                                    std::span<std::uint8_t> out);

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // hash(key || pad_2 || hash(key || pad_1 || seq_num || type || length || content)).
  struct Ssl3 {
    Hash hash;
    MacKey key;
  };

  RecordMac(ProtocolVersion version, std::optional<Hmac> hmac, std::optional<Ssl3> ssl3,
            std::size_t size)
      : version_(version), hmac_(std::move(hmac)), ssl3_(std::move(ssl3)), size_(size) {}

  using Header = std::array<std::uint8_t, Hmac::kTlsHeaderSize>;
  [[nodiscard]] Header header(std::uint64_t sequence, ContentType type,
                              std::size_t content_size) const;
  [[nodiscard]] std::span<const std::uint8_t> pad(std::uint8_t value) const;
  [[nodiscard]] ktls::Result<void> ssl3_compute(std::uint64_t sequence, ContentType type,
                                                std::span<const std::uint8_t> content,
                                                std::span<std::uint8_t> out);
  [[nodiscard]] ktls::Result<void> ssl3_compute_secretly(std::uint64_t sequence, ContentType type,
                                                         std::span<const std::uint8_t> record,
                                                         std::size_t content_size,
                                                         std::size_t padding_max,
                                                         std::span<std::uint8_t> out);

  ProtocolVersion version_;
  std::optional<Hmac> hmac_;  // one of the two
  std::optional<Ssl3> ssl3_;
  std::size_t size_;
};

}  // namespace tls
