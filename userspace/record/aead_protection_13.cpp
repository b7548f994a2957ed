// Sealing and opening of TLS 1.3 records.
#include "userspace/record/aead_protection_13.h"

#include <utility>

#include "userspace/record/aead_nonce.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::ErrorCode;

constexpr std::size_t kInnerTypeSize = 1;

// TLSInnerPlaintext is content, type, zeros. RFC 8446 section 5.4: "the receiving implementation
// scans the field from the end toward the beginning until it finds a non-zero octet. This non-zero
// octet is the content type of the message." No such octet: "it MUST terminate the connection with
// an "unexpected_message" alert."
ktls::Result<Protection::Opened> split_inner(std::span<std::uint8_t> inner) {
  // Section 5.4: the full encoded TLSInnerPlaintext "MUST NOT exceed 2^14 + 1 octets".
  if (inner.size() > kPlaintextSizeMax + kInnerTypeSize) {
    return refuse(ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow,
                  "record: content and padding over 2^14 bytes");
  }
  std::size_t size = inner.size();
  while (size > 0 && inner[size - 1] == 0) --size;
  if (size == 0) {
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "record: padding without a content type");
  }
  const auto type = static_cast<ContentType>(inner[size - 1]);
  const auto content = inner.first(size - kInnerTypeSize);
  switch (type) {
    case ContentType::kApplicationData:
      return Protection::Opened{.type = type, .content = content};
    case ContentType::kAlert:
    case ContentType::kHandshake:
      // Section 5.4: "Implementations MUST NOT send Handshake and Alert records that have a
      // zero-length TLSInnerPlaintext.content; if such a message is received, the receiving
      // implementation MUST terminate the connection with an "unexpected_message" alert."
      if (!content.empty()) return Protection::Opened{.type = type, .content = content};
      return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                    "record: empty handshake or alert");
    default:
      // Section 5: a protected change_cipher_spec, and any type that is not known, "MUST" end in
      // unexpected_message.
      return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                    "record: content type inside");
  }
}

}  // namespace

ktls::Result<std::unique_ptr<Protection>> AeadProtection13::create(const BulkCipher& cipher,
                                                                   const TrafficKeys& keys) {
  KTLS_TRY(Aead aead, Aead::create(cipher, keys.key.bytes()));
  return std::unique_ptr<Protection>(new AeadProtection13(std::move(aead), keys.iv.duplicate()));
}

std::size_t AeadProtection13::overhead() const {
  return kRecordHeaderSize + kInnerTypeSize + aead_.tag_size();
}

ktls::Result<void> AeadProtection13::seal(std::uint64_t sequence, ContentType type,
                                          std::span<const std::uint8_t> content,
                                          std::span<std::uint8_t> wire) {
  const auto header = wire.first<kRecordHeaderSize>();
  const auto body = wire.subspan(kRecordHeaderSize);
  encode_record_header(
      {.type = ContentType::kApplicationData, .version = kRecordVersion, .body_size = body.size()},
      header);
  const std::array<std::uint8_t, kInnerTypeSize> inner_type = {static_cast<std::uint8_t>(type)};
  return aead_.seal(nonce_of(iv_.bytes(), sequence), header, content, inner_type, body);
}

ktls::Result<void> AeadProtection13::check_header(const RecordHeader& header) const {
  if (auto checked = check_record_header(header, kCiphertextSizeMax13); !checked) return checked;
  if (header.type != ContentType::kApplicationData) {
    return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                  "record header: unprotected record on a protected connection");
  }
  if (header.version != kRecordVersion) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kProtocolVersion,
                  "record header: version is not 3.3");
  }
  return {};
}

ktls::Result<Protection::Opened> AeadProtection13::open(std::uint64_t sequence,
                                                        std::span<std::uint8_t> record) {
  const auto header = record.first<kRecordHeaderSize>();
  const auto body = record.subspan(kRecordHeaderSize);
  if (auto checked = check_header(decode_record_header(header)); !checked) {
    return ktls::fail(std::move(checked).error());
  }
  if (body.size() < aead_.tag_size()) {
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "record: too short for its tag");
  }
  const auto inner = body.first(body.size() - aead_.tag_size());
  auto opened = aead_.open(nonce_of(iv_.bytes(), sequence), header, body, inner);
  if (!opened) return ktls::fail(std::move(opened).error());
  return split_inner(inner);
}

}  // namespace tls
