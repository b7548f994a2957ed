// Framing without protection.
#include "userspace/record/null_protection.h"

#include <algorithm>

namespace tls {

ktls::Result<void> NullProtection::seal(std::uint64_t /*sequence*/, ContentType type,
                                        std::span<const std::uint8_t> content,
                                        std::span<std::uint8_t> wire) {
  encode_record_header({.type = type, .version = kRecordVersion, .body_size = content.size()},
                       wire.first<kRecordHeaderSize>());
  std::ranges::copy(content, wire.subspan(kRecordHeaderSize).begin());
  return {};
}

ktls::Result<void> NullProtection::check_header(const RecordHeader& header) const {
  return check_record_header(header, kPlaintextSizeMax);
}

ktls::Result<Protection::Opened> NullProtection::open(std::uint64_t /*sequence*/,
                                                      std::span<std::uint8_t> record) {
  const RecordHeader header = decode_record_header(record.first<kRecordHeaderSize>());
  if (auto checked = check_header(header); !checked) return ktls::fail(std::move(checked).error());
  return Opened{.type = header.type, .content = record.subspan(kRecordHeaderSize)};
}

}  // namespace tls
