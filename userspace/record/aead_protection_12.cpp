// Sealing and opening of TLS 1.2 AEAD records.
#include "userspace/record/aead_protection_12.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/record/aead_nonce.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::ErrorCode;

// RFC 5246 section 6.2.3.3: "additional_data = seq_num + TLSCompressed.type +
// TLSCompressed.version + TLSCompressed.length", the length being that of the plaintext.
using AssociatedData = std::array<std::uint8_t, sizeof(std::uint64_t) + kRecordHeaderSize>;

AssociatedData associated_data(std::uint64_t sequence, ContentType type, std::size_t size) {
  AssociatedData data{};
  ktls::store_big_endian(data.data(), sequence);
  encode_record_header({.type = type, .version = kRecordVersion, .body_size = size},
                       std::span(data).last<kRecordHeaderSize>());
  return data;
}

}  // namespace

ktls::Result<std::unique_ptr<Protection>> AeadProtection12::create(const BulkCipher& cipher,
                                                                   const TrafficKeys& keys,
                                                                   std::uint64_t sequence,
                                                                   std::uint64_t explicit_nonce) {
  KTLS_TRY(Aead aead, Aead::create(cipher, keys.key.bytes()));
  return std::unique_ptr<Protection>(new AeadProtection12(std::move(aead), keys.iv.duplicate(),
                                                          cipher.explicit_nonce_size_12,
                                                          explicit_nonce - sequence));
}

std::size_t AeadProtection12::overhead() const {
  return kRecordHeaderSize + explicit_nonce_size_ + aead_.tag_size();
}

std::uint64_t AeadProtection12::explicit_nonce(std::uint64_t sequence) const {
  return explicit_nonce_size_ == 0 ? 0 : sequence + explicit_nonce_offset_;
}

Aead::Nonce AeadProtection12::nonce(std::uint64_t sequence,
                                    std::span<const std::uint8_t> explicit_nonce) const {
  if (explicit_nonce.empty()) return nonce_of(iv_.bytes(), sequence);
  // RFC 5288 section 3: "struct { opaque salt[4]; opaque nonce_explicit[8]; } GCMNonce".
  Aead::Nonce nonce{};
  std::ranges::copy(explicit_nonce, std::ranges::copy(iv_.bytes(), nonce.begin()).out);
  return nonce;
}

ktls::Result<void> AeadProtection12::seal(std::uint64_t sequence, ContentType type,
                                          std::span<const std::uint8_t> content,
                                          std::span<std::uint8_t> wire) {
  const auto body = wire.subspan(kRecordHeaderSize);
  encode_record_header({.type = type, .version = kRecordVersion, .body_size = body.size()},
                       wire.first<kRecordHeaderSize>());
  std::array<std::uint8_t, sizeof(std::uint64_t)> counter{};
  ktls::store_big_endian(counter.data(), explicit_nonce(sequence));
  const auto carried = std::span(counter).first(explicit_nonce_size_);
  std::ranges::copy(carried, body.begin());
  return aead_.seal(nonce(sequence, carried), associated_data(sequence, type, content.size()),
                    content, {}, body.subspan(explicit_nonce_size_));
}

ktls::Result<void> AeadProtection12::check_header(const RecordHeader& header) const {
  if (auto checked = check_record_header(header, kCiphertextSizeMax); !checked) return checked;
  if (header.version != kRecordVersion) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kProtocolVersion,
                  "record header: version is not 3.3");
  }
  return {};
}

ktls::Result<Protection::Opened> AeadProtection12::open(std::uint64_t sequence,
                                                        std::span<std::uint8_t> record) {
  const RecordHeader header = decode_record_header(record.first<kRecordHeaderSize>());
  if (auto checked = check_header(header); !checked) return ktls::fail(std::move(checked).error());
  const auto body = record.subspan(kRecordHeaderSize);
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
  // Asked once the record is known to be the peer's, as libssl does; RFC 5246 section 6.2.1.
  if (content.size() > kPlaintextSizeMax) {
    return refuse(ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow,
                  "record: content over 2^14 bytes");
  }
  return Opened{.type = header.type, .content = content};
}

}  // namespace tls
