// Taking a stream apart into records.
#include "userspace/api/framer.h"

#include "userspace/suite/refuse.h"

namespace api {

using ktls::Error;
using ktls::ErrorCode;
using tls::NeedBytes;

void Framer::feed(std::span<const std::uint8_t> bytes) {
  buffer_.reserve(buffer_.size() - begin_ + bytes.size());  // before anything changes: it may throw
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  begin_ = 0;
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

ktls::Result<std::variant<NeedBytes, Framer::Decoded>> Framer::decode() const {
  using Answer = std::variant<NeedBytes, Decoded>;
  const std::span<const std::uint8_t> unread = std::span(buffer_).subspan(begin_);
  if (unread.empty()) return Answer(NeedBytes{1});
  const std::size_t size = tls::header_size_of(unread[0]);
  if (unread.size() < size) return Answer(NeedBytes{size - unread.size()});
  tls::RecordHeader header{};
  if (size == tls::kRecordHeaderSize) {
    header = tls::decode_record_header(unread.first<tls::kRecordHeaderSize>());
  } else {
    KTLS_TRY(header, tls::decode_ssl2_header(unread.first(size)));
  }
  if (header.body_size > body_size_max_) {
    return tls::refuse(ErrorCode::kRecordOverflow, tls::AlertDescription::kRecordOverflow,
                       "record header: longer than a record may be");
  }
  const std::size_t whole = size + header.body_size;
  if (unread.size() < whole) return Answer(NeedBytes{whole - unread.size()});
  return Answer(Decoded{header, size});
}

std::size_t Framer::want() const {
  const auto decoded = decode();
  if (!decoded) return 0;
  const auto* need = std::get_if<NeedBytes>(&*decoded);
  return need == nullptr ? 0 : need->count;
}

ktls::Result<std::variant<NeedBytes, Framer::Framed>> Framer::next() {
  using Answer = std::variant<NeedBytes, Framed>;
  KTLS_TRY(const auto decoded, decode());
  if (const auto* need = std::get_if<NeedBytes>(&decoded)) {
    if (!has_ended_) return Answer(*need);
    return ktls::fail(Error::of(ErrorCode::kEndOfStream, "the transport ended"));
  }
  const auto& [header, header_size] = std::get<Decoded>(decoded);
  const auto body = std::span(buffer_).subspan(begin_ + header_size, header.body_size);
  begin_ += header_size + header.body_size;
  return Answer(Framed{header, body});
}

}  // namespace api
