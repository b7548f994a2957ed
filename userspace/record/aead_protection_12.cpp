// Sealing and opening of TLS 1.2 AEAD records.
#include "userspace/record/aead_protection_12.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/record/aead_nonce.h"
#include "userspace/suite/refuse.h"

namespace tls {

using ktls::ErrorCode;

ktls::Result<std::unique_ptr<Protection>> AeadProtection12::create(ProtocolVersion version,
                                                                   const BulkCipher& cipher,
                                                                   const TrafficKeys& keys,
                                                                   std::uint64_t sequence,
                                                                   std::uint64_t explicit_nonce) {
  KTLS_TRY(Aead aead, Aead::create(cipher, keys.key.bytes()));
  return std::unique_ptr<Protection>(
      new AeadProtection12(version, std::move(aead), keys.iv.duplicate(),
                           cipher.explicit_nonce_size, explicit_nonce - sequence));
}

std::size_t AeadProtection12::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  return kRecordHeaderSize + explicit_nonce_size_ + content_size + aead_.tag_size();
}

std::uint64_t AeadProtection12::explicit_nonce(std::uint64_t sequence) const {
  return explicit_nonce_size_ == 0 ? 0 : sequence + explicit_nonce_offset_;
}

AeadProtection12::AssociatedData AeadProtection12::associated_data(std::uint64_t sequence,
                                                                   ContentType type,
                                                                   std::size_t size) const {
  AssociatedData data{};
  ktls::store_big_endian(data.data(), sequence);
  encode_record_header(
      {.type = type, .version = static_cast<std::uint16_t>(version_), .body_size = size},
      std::span(data).last<kRecordHeaderSize>());
  return data;
}

Aead::Nonce AeadProtection12::nonce(std::uint64_t sequence,
                                    std::span<const std::uint8_t> explicit_nonce) const {
  if (iv_.size() == kAeadNonceSize) return nonce_of(iv_.bytes(), sequence);
  Aead::Nonce nonce{};
  const auto rest = std::ranges::copy(iv_.bytes(), nonce.begin()).out;
  if (explicit_nonce.empty()) {
    // draft-agl-tls-chacha20poly1305-00 with RFC 7539's AEAD: the number itself is the rest.
    ktls::store_big_endian(&*rest, sequence);
  } else {
    // RFC 5288 section 3: "struct { opaque salt[4]; opaque nonce_explicit[8]; } GCMNonce".
    std::ranges::copy(explicit_nonce, rest);
  }
  return nonce;
}

ktls::Result<void> AeadProtection12::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                          std::span<std::uint8_t> wire) {
  const auto body = wire.subspan(kRecordHeaderSize);
  encode_record_header({.type = outgoing.type,
                        .version = static_cast<std::uint16_t>(version_),
                        .body_size = body.size()},
                       wire.first<kRecordHeaderSize>());
  std::array<std::uint8_t, sizeof(std::uint64_t)> counter{};
  ktls::store_big_endian(counter.data(), explicit_nonce(sequence));
  const auto carried = std::span(counter).first(explicit_nonce_size_);
  std::ranges::copy(carried, body.begin());
  return aead_.seal(nonce(sequence, carried),
                    associated_data(sequence, outgoing.type, outgoing.content.size()),
                    outgoing.content, {}, body.subspan(explicit_nonce_size_));
}

ktls::Result<Opened> AeadProtection12::open(std::uint64_t sequence, const RecordHeader& header,
                                            std::span<std::uint8_t> body) {
  if (body.size() < explicit_nonce_size_ + aead_.tag_size()) {
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "record: too short for its nonce and tag");
  }
  const auto carried = body.first(explicit_nonce_size_);
  const auto sealed = body.subspan(explicit_nonce_size_);
  const auto content = sealed.first(sealed.size() - aead_.tag_size());
  auto opened = aead_.open(nonce(sequence, carried),
                           associated_data(sequence, header.type, content.size()), sealed, content);
  if (!opened) return ktls::fail(std::move(opened).error());
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
