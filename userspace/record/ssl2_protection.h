// Ssl2Protection: the records of SSLv2 (draft-hickman-netscape-ssl-00, "SSL Record Data Format").
#pragma once

#include <memory>
#include <optional>

#include "userspace/crypto/cbc_cipher.h"
#include "userspace/crypto/hash.h"
#include "userspace/crypto/stream_cipher.h"
#include "userspace/record/cbc_padding.h"
#include "userspace/record/protection.h"
#include "userspace/schedule/traffic_keys.h"

namespace tls {

class Ssl2Protection final : public Protection {
 public:
  // `keys.iv` is the KEY-ARG, a block; empty for RC4. Errors: kInvalidArgument for its size, as
  // Hash::create, CbcCipher::create and StreamCipher::create.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Protection>> create(const BulkCipher& cipher,
                                                                        const TrafficKeys& keys);

  // Exact, as the other protections' are.
  [[nodiscard]] std::size_t sealed_size(std::size_t content_size,
                                        std::size_t padding) const override;
  // kInvalidArgument for a record that its header cannot say the length of.
  [[nodiscard]] ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) override;
  // SSLv2 authenticates the padding's bytes, but not how many they are: the header alone says it.
  [[nodiscard]] ktls::Result<Opened> open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) override;
  // The three-byte header says less than 2^14.
  [[nodiscard]] std::size_t content_size_max() const override;
  [[nodiscard]] bool is_ssl2() const override { return true; }

 private:
  Ssl2Protection(Hash hash, WriteKey mac_secret, std::optional<CbcCipher> block_cipher,
                 std::optional<StreamCipher> stream_cipher, CbcChain chain)
      : hash_(std::move(hash)),
        mac_secret_(std::move(mac_secret)),
        block_cipher_(std::move(block_cipher)),
        stream_cipher_(std::move(stream_cipher)),
        chain_(chain) {}

  [[nodiscard]] std::size_t padding(std::size_t content_size) const;
  // MAC-DATA = HASH[SECRET, ACTUAL-DATA, PADDING-DATA, SEQUENCE-NUMBER].
  [[nodiscard]] ktls::Result<void> mac(std::uint64_t sequence, std::span<const std::uint8_t> data,
                                       std::span<std::uint8_t> out);

  Hash hash_;
  WriteKey mac_secret_;
  std::optional<CbcCipher> block_cipher_;  // one of the two
  std::optional<StreamCipher> stream_cipher_;
  CbcChain chain_;
};

}  // namespace tls
