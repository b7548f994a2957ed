// The record layer: framing, fragmenting, and whose turn the connection states have.
#include "userspace/record/record_layer.h"

#include <algorithm>
#include <utility>

#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// Empty content takes a record, too.
std::size_t record_count(std::size_t content_size, std::size_t fragment_size_max) {
  if (content_size == 0) return 1;
  return (content_size - 1) / fragment_size_max + 1;
}

bool is_content_type(ContentType type) {
  return type >= ContentType::kChangeCipherSpec && type <= ContentType::kApplicationData;
}

tl::unexpected<Error> violation(std::string_view detail) {
  return ktls::fail(Error::of(ErrorCode::kProtocolViolation, detail));
}

}  // namespace

// --- reading ---------------------------------------------------------------------------------

ktls::Result<NextRecord> RecordLayer::next_record() {
  if (auto usable = read_.usable(); !usable) return ktls::fail(std::move(usable).error());
  auto next = open_next();
  if (!next) read_.error = next.error();
  return next;
}

ktls::Result<NextRecord> RecordLayer::open_next() {
  if (unread_.size() < kRecordHeaderSize) return NeedBytes{kRecordHeaderSize - unread_.size()};
  const RecordHeader header = decode_record_header(unread_.first<kRecordHeaderSize>());
  const std::size_t size = kRecordHeaderSize + header.body_size;
  if (unread_.size() < size) {
    // A header that cannot be good is refused now: nobody waits for the rest of such a record.
    if (auto checked = read_.current->check_header(header); !checked) {
      return ktls::fail(std::move(checked).error());
    }
    return NeedBytes{size - unread_.size()};
  }
  KTLS_TRY(const ConnectionState::Opened opened, read_.current->open(unread_.first(size)));
  unread_ = unread_.subspan(size);
  if (auto counted = count_if_empty(opened); !counted) {
    return ktls::fail(std::move(counted).error());
  }
  return Record{.type = opened.type, .content = opened.content};
}

ktls::Result<void> RecordLayer::count_if_empty(const ConnectionState::Opened& opened) {
  if (!opened.content.empty()) {
    empty_records_ = 0;
    return {};
  }
  if (++empty_records_ <= kEmptyRecordsMax) return {};
  return refuse(ErrorCode::kLimitReached, AlertDescription::kUnexpectedMessage,
                "too many empty records in a row");
}

// --- writing ---------------------------------------------------------------------------------

std::size_t RecordLayer::sealed_size(std::size_t content_size) const {
  if (!write_.current) return 0;
  return content_size + record_count(content_size, fragment_size_max_) * write_.current->overhead();
}

ktls::Result<std::size_t> RecordLayer::seal(ContentType type, std::span<const std::uint8_t> content,
                                            std::span<std::uint8_t> wire) {
  if (auto usable = write_.usable(); !usable) return ktls::fail(std::move(usable).error());
  if (!is_content_type(type) || (content.empty() && type != ContentType::kApplicationData) ||
      wire.size() < sealed_size(content.size())) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument,
                                "seal: content type, empty content, or too little room"));
  }
  // Asked for all records at once: a call that seals some of its content could not say so.
  if (write_.current->records_left() < record_count(content.size(), fragment_size_max_)) {
    return refuse(ErrorCode::kLimitReached, AlertDescription::kInternalError,
                  "the sequence number would wrap");
  }
  std::size_t written = 0;
  do {
    const auto fragment = content.first(std::min(content.size(), fragment_size_max_));
    auto sealed = write_.current->seal(type, fragment, wire.subspan(written));
    if (!sealed) {
      write_.error = sealed.error();
      return sealed;
    }
    written += *sealed;
    content = content.subspan(fragment.size());
  } while (!content.empty());
  return written;
}

// --- connection states -----------------------------------------------------------------------

ktls::Result<void> RecordLayer::change_read_state() {
  return read_.change();
}

ktls::Result<void> RecordLayer::change_write_state() {
  return write_.change();
}

ktls::Result<ConnectionState> RecordLayer::release_read() {
  if (auto usable = read_.usable(); !usable) return ktls::fail(std::move(usable).error());
  if (!unread_.empty()) return violation("release_read: ciphertext is buffered");
  return read_.release();
}

ktls::Result<ConnectionState> RecordLayer::release_write() {
  return write_.release();
}

ktls::Result<void> RecordLayer::Half::usable() const {
  if (error) return ktls::fail(*error);
  if (!current) return violation("the direction was released");
  return {};
}

ktls::Result<void> RecordLayer::Half::change() {
  if (auto checked = usable(); !checked) return checked;
  if (!pending) return violation("no connection state is pending");
  current = std::exchange(pending, std::nullopt);
  return {};
}

ktls::Result<ConnectionState> RecordLayer::Half::release() {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  if (current->is_null()) return violation("the null state is not handed out");
  ConnectionState released = *std::exchange(current, std::nullopt);
  return released;
}

void RecordLayer::Half::close() {
  current.reset();
  pending.reset();
}

}  // namespace tls
