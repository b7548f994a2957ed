// Making the parts, and the beginning of a record.
#include "userspace/record/block_parts.h"

#include <algorithm>
#include <utility>

namespace tls {

using ktls::Error;
using ktls::ErrorCode;

ktls::Result<BlockParts> BlockParts::create(ProtocolVersion version, const CipherSuite& suite,
                                            const TrafficKeys& keys,
                                            std::span<const std::uint8_t> fixed_iv_block) {
  KTLS_TRY(RecordMac mac, RecordMac::create(version, *suite.mac, keys.mac_key));
  KTLS_TRY(CbcCipher cipher, CbcCipher::create(*suite.bulk_cipher, keys.key.bytes()));
  BlockParts parts{.version = version,
                   .mac = std::move(mac),
                   .cipher = std::move(cipher),
                   .chain = CbcChain(keys.iv.bytes()),
                   .fixed_iv_block = {}};
  const std::size_t size = parts.explicit_iv_size();
  if (size != 0 && fixed_iv_block.size() != size) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "CBC: the fixed IV block's size"));
  }
  parts.fixed_iv_block = CbcChain(fixed_iv_block.first(size));
  return parts;
}

void BlockParts::replace_fixed_iv_block(std::span<const std::uint8_t> block) {
  if (block.size() == explicit_iv_size()) fixed_iv_block = CbcChain(block);
}

std::span<std::uint8_t> BlockParts::begin_record(const Outgoing& outgoing,
                                                 std::span<std::uint8_t> wire) const {
  const auto body = wire.subspan(kRecordHeaderSize);
  encode_record_header({.type = outgoing.type,
                        .version = static_cast<std::uint16_t>(version),
                        .body_size = body.size()},
                       wire.first<kRecordHeaderSize>());
  std::ranges::copy(fixed_iv_block.value(), body.begin());
  const auto rest = body.subspan(explicit_iv_size());
  std::ranges::copy(outgoing.content, rest.begin());
  return rest.subspan(outgoing.content.size());
}

}  // namespace tls
