// Sealing and opening of TLS 1.3 records.
#include "userspace/record/aead_protection_13.h"

#include <algorithm>
#include <utility>

#include "userspace/record/aead_nonce.h"
#include "userspace/record/inner_plaintext.h"

namespace tls {

ktls::Result<std::unique_ptr<Protection>> AeadProtection13::create(const BulkCipher& cipher,
                                                                   const TrafficKeys& keys) {
  KTLS_TRY(Aead aead, Aead::create(cipher, keys.key.bytes()));
  return std::unique_ptr<Protection>(new AeadProtection13(std::move(aead), keys.iv.duplicate()));
}

std::size_t AeadProtection13::sealed_size(std::size_t content_size, std::size_t padding) const {
  return kRecordHeaderSize + content_size + kInnerTypeSize + padding + aead_.tag_size();
}

ktls::Result<void> AeadProtection13::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                          std::span<std::uint8_t> wire) {
  const auto header = header_13(wire.size() - kRecordHeaderSize);
  std::ranges::copy(header, wire.begin());
  const auto body = wire.subspan(kRecordHeaderSize);
  const auto nonce = nonce_of(iv_.bytes(), sequence);
  const std::array<std::uint8_t, kInnerTypeSize> type = {static_cast<std::uint8_t>(outgoing.type)};
  if (outgoing.padding == 0) return aead_.seal(nonce, header, outgoing.content, type, body);
  // Padding is rare enough that it may cost a copy.
  const auto inner = body.first(body.size() - aead_.tag_size());
  const auto content_end = std::ranges::copy(outgoing.content, inner.begin()).out;
  std::ranges::fill(content_end, inner.end(), std::uint8_t{0});
  *content_end = type[0];
  return aead_.seal(nonce, header, inner, {}, body);
}

ktls::Result<Opened> AeadProtection13::open(std::uint64_t sequence, const RecordHeader& header,
                                            std::span<std::uint8_t> body) {
  if (auto checked = check_header_13(header, body, aead_.tag_size()); !checked) {
    return ktls::fail(std::move(checked).error());
  }
  const auto inner = body.first(body.size() - aead_.tag_size());
  auto opened = aead_.open(nonce_of(iv_.bytes(), sequence), header_13(body.size()), body, inner);
  if (!opened) return ktls::fail(std::move(opened).error());
  return split_inner(inner);
}

}  // namespace tls
