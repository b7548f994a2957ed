// Encrypt-then-MAC records.
#include "userspace/record/etm_protection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/record/bad_record_mac.h"

namespace tls {
namespace {

// RFC 5246 section 6.2.3.2; of SSLv3's padding only the length has a meaning.
bool is_padding(ProtocolVersion version, std::span<const std::uint8_t> padding) {
  return version == ProtocolVersion::kSsl3 ||
         std::ranges::all_of(padding, [&](std::uint8_t byte) { return byte == padding.back(); });
}

}  // namespace

ktls::Result<std::unique_ptr<Protection>> EtmProtection::create(
    ProtocolVersion version, const CipherSuite& suite, const TrafficKeys& keys,
    std::span<const std::uint8_t> fixed_iv_block) {
  KTLS_TRY(BlockParts parts, BlockParts::create(version, suite, keys, fixed_iv_block));
  return std::unique_ptr<Protection>(new EtmProtection(std::move(parts)));
}

std::size_t EtmProtection::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  return kRecordHeaderSize + parts_.explicit_iv_size() + content_size +
         padding_size(content_size, parts_.cipher.block_size()) + parts_.mac.size();
}

ktls::Result<void> EtmProtection::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                       std::span<std::uint8_t> wire) {
  const auto body = wire.subspan(kRecordHeaderSize);
  const auto encrypted = body.first(body.size() - parts_.mac.size());
  const auto rest = parts_.begin_record(outgoing, wire);
  fill_padding(rest.first(rest.size() - parts_.mac.size()));
  auto done = parts_.cipher.encrypt(parts_.chain.value(), encrypted, encrypted);
  if (!done) return done;
  parts_.chain.set(encrypted);
  return parts_.mac.compute(sequence, outgoing.type, encrypted, body.last(parts_.mac.size()));
}

ktls::Result<Opened> EtmProtection::open(std::uint64_t sequence, const RecordHeader& header,
                                         std::span<std::uint8_t> body) {
  if (body.size() < parts_.mac.size()) return bad_record_mac(body);
  const auto encrypted = body.first(body.size() - parts_.mac.size());
  std::array<std::uint8_t, kHashSizeMax> computed{};
  const auto expected = std::span(computed).first(parts_.mac.size());
  auto done = parts_.mac.compute(sequence, header.type, encrypted, expected);
  if (!done) return ktls::fail(std::move(done).error());
  if (!same_bytes(expected, body.last(parts_.mac.size()))) return bad_record_mac(body);

  if (encrypted.size() % parts_.cipher.block_size() != 0) return not_whole_blocks();
  CbcChain next = parts_.chain;
  next.set(encrypted);
  done = parts_.cipher.decrypt(parts_.chain.value(), encrypted, encrypted);
  if (!done) return ktls::fail(std::move(done).error());
  if (encrypted.size() <= parts_.explicit_iv_size()) return bad_record_mac(body);
  const auto decrypted = encrypted.subspan(parts_.explicit_iv_size());
  const std::size_t padding = std::size_t{decrypted.back()} + 1;
  if (padding > decrypted.size() || !is_padding(parts_.version, decrypted.last(padding))) {
    return bad_record_mac(body);
  }
  parts_.chain = next;
  const auto content = decrypted.first(decrypted.size() - padding);
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
