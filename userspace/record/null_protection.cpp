// Framing without protection.
#include "userspace/record/null_protection.h"

#include <algorithm>

namespace tls {
bool NullProtection::is_ssl2() const {
  return is_ssl2_version(version_);
}

std::size_t NullProtection::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  return (is_ssl2() ? kSsl2ShortHeaderSize : kRecordHeaderSize) + content_size;
}

ktls::Result<void> NullProtection::seal(std::uint64_t /*sequence*/, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) {
  const RecordHeader header{
      .type = outgoing.type, .version = version_, .body_size = outgoing.content.size()};
  std::size_t header_size = kRecordHeaderSize;
  if (is_ssl2()) {
    std::array<std::uint8_t, 3> bytes{};
    KTLS_TRY(header_size, encode_ssl2_header(header, bytes));
    std::copy_n(bytes.begin(), header_size, wire.begin());
  } else {
    encode_record_header(header, wire.first<kRecordHeaderSize>());
  }
  std::ranges::copy(outgoing.content, wire.subspan(header_size).begin());
  return {};
}

ktls::Result<Opened> NullProtection::open(std::uint64_t /*sequence*/, const RecordHeader& header,
                                          std::span<std::uint8_t> body) {
  const std::size_t padding = std::min<std::size_t>(header.padding, body.size());  // SSLv2's
  const auto content = body.first(body.size() - padding);
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
