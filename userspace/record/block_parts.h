// BlockParts: what the two ways to protect records with a block cipher have in common: MAC, cipher,
// and the chain of blocks. They differ in the order of MAC and encryption.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "userspace/crypto/cbc_cipher.h"
#include "userspace/record/cbc_padding.h"
#include "userspace/record/protection.h"
#include "userspace/record/record_mac.h"

namespace tls {

struct BlockParts {
  ProtocolVersion version;
  RecordMac mac;
  CbcCipher cipher;
  CbcChain chain;           // the last block of the record before
  CbcChain fixed_iv_block;  // empty before TLS 1.1

  // From TLS 1.1 on each record starts with a block that decrypts to nothing of use, so that what
  // comes after has an IV that nobody could know before (RFC 4346 section 6.2.3.2, method 2b). It
  // is the encryption of `fixed_iv_block`, a block of random bytes, chained to the record before.
  // Errors: kInvalidArgument for its size; as RecordMac::create and CbcCipher::create.
  [[nodiscard]] static ktls::Result<BlockParts> create(
      ProtocolVersion version, const CipherSuite& suite, const TrafficKeys& keys,
      std::span<const std::uint8_t> fixed_iv_block);

  // Size of that block: 0 before TLS 1.1.
  [[nodiscard]] std::size_t explicit_iv_size() const {
    return version >= ProtocolVersion::kTls11 ? cipher.block_size() : 0;
  }

  // One of another size is ignored.
  void replace_fixed_iv_block(std::span<const std::uint8_t> block);

  // Writes the header, that block and the content, all in the clear, and returns the rest of
  // `wire`.
  [[nodiscard]] std::span<std::uint8_t> begin_record(const Outgoing& outgoing,
                                                     std::span<std::uint8_t> wire) const;
};

}  // namespace tls
