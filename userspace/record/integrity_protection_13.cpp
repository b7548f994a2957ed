// Integrity-only records.
#include "userspace/record/integrity_protection_13.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ktls/base/endian.h"
#include "userspace/record/bad_record_mac.h"
#include "userspace/record/inner_plaintext.h"

namespace tls {

ktls::Result<std::unique_ptr<Protection>> IntegrityProtection13::create(HashAlgorithm algorithm,
                                                                        const TrafficKeys& keys) {
  KTLS_TRY(Hmac hmac, Hmac::create(algorithm, keys.key.bytes()));
  return std::unique_ptr<Protection>(
      new IntegrityProtection13(std::move(hmac), keys.iv.duplicate()));
}

std::size_t IntegrityProtection13::sealed_size(std::size_t content_size,
                                               std::size_t padding) const {
  return kRecordHeaderSize + content_size + kInnerTypeSize + padding + hmac_.size();
}

ktls::Result<void> IntegrityProtection13::tag(std::uint64_t sequence,
                                              std::span<const std::uint8_t> associated_data,
                                              std::span<const std::uint8_t> inner,
                                              std::span<std::uint8_t> out) {
  // The nonce of RFC 8446 section 5.3, as long as the IV is.
  WriteIv nonce = iv_.duplicate();
  std::uint8_t* const tail = nonce.mutable_bytes().last(sizeof sequence).data();
  ktls::store_big_endian(tail, ktls::load_big_endian<std::uint64_t>(tail) ^ sequence);
  return hmac_.compute({nonce.bytes(), associated_data, inner}, out);
}

ktls::Result<void> IntegrityProtection13::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                               std::span<std::uint8_t> wire) {
  const auto header = header_13(wire.size() - kRecordHeaderSize);
  std::ranges::copy(header, wire.begin());
  const auto body = wire.subspan(kRecordHeaderSize);
  const auto inner = body.first(body.size() - hmac_.size());
  const auto content_end = std::ranges::copy(outgoing.content, inner.begin()).out;
  std::ranges::fill(content_end, inner.end(), std::uint8_t{0});
  *content_end = static_cast<std::uint8_t>(outgoing.type);
  return tag(sequence, header, inner, body.last(hmac_.size()));
}

ktls::Result<Opened> IntegrityProtection13::open(std::uint64_t sequence, const RecordHeader& header,
                                                 std::span<std::uint8_t> body) {
  if (auto checked = check_header_13(header, body, hmac_.size()); !checked) {
    return ktls::fail(std::move(checked).error());
  }
  const auto inner = body.first(body.size() - hmac_.size());
  std::array<std::uint8_t, kHashSizeMax> computed{};
  const auto expected = std::span(computed).first(hmac_.size());
  auto done = tag(sequence, header_13(body.size()), inner, expected);
  if (!done) return ktls::fail(std::move(done).error());
  if (!same_bytes(expected, body.last(hmac_.size()))) return bad_record_mac(body);
  return split_inner(inner);
}

}  // namespace tls
