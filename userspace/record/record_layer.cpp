// The record layer: framing, fragmenting, and whose turn the connection states have.
#include "userspace/record/record_layer.h"

#include <algorithm>
#include <utility>

#include "userspace/record/bad_record_mac.h"
#include "userspace/record/inner_plaintext.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

constexpr std::uint16_t kVersion13 = 0x0304;
// An alert in the clear is a level and a description; anything longer could be a protected one.
constexpr std::size_t kAlertSize = 2;

bool is_content_type(ContentType type) {
  return type >= ContentType::kChangeCipherSpec && type <= ContentType::kApplicationData;
}

tl::unexpected<Error> violation(std::string_view detail) {
  return ktls::fail(Error::of(ErrorCode::kProtocolViolation, detail));
}

tl::unexpected<Error> overflow(std::string_view detail) {
  return refuse(ErrorCode::kRecordOverflow, AlertDescription::kRecordOverflow, detail);
}

tl::unexpected<Error> unexpected(std::string_view detail) {
  return refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage, detail);
}

// A record with SSLv2's header under keys of TLS: no key opens it. What can be seen without keys is
// told as it would be of any other record.
tl::unexpected<Error> refuse_ssl2_record(const CipherSuite& suite, std::size_t body_size) {
  const std::size_t block_size = suite.bulk_cipher->block_size;
  if (block_size != 0 && body_size % block_size != 0) return not_whole_blocks();
  return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                "an SSLv2 record on a protected connection");
}

}  // namespace

void RecordLayer::set_version(std::uint16_t wire_version, bool is_13) {
  wire_version_ = wire_version;
  is_13_ = is_13;
  for (Half* half : {&read_, &write_}) {
    if (half->current && half->current->is_null()) {
      ConnectionState fresh = ConnectionState::null(wire_version);
      fresh.continue_from(*half->current);
      half->current = std::move(fresh);
    }
  }
}

// --- reading ---------------------------------------------------------------------------------

Result<NextRecord> RecordLayer::next_record() {
  if (auto usable = read_.usable(); !usable) return ktls::fail(std::move(usable).error());
  auto next = open_next();
  if (!next) read_.error = next.error();
  return next;
}

Result<Record> RecordLayer::open_body(const RecordHeader& header, std::span<std::uint8_t> body) {
  if (auto usable = read_.usable(); !usable) return ktls::fail(std::move(usable).error());
  auto record = check_size(header).and_then([&] { return open_record(header, body); });
  if (!record) read_.error = record.error();
  return record;
}

Result<std::variant<NeedBytes, RecordLayer::Framed>> RecordLayer::decode_header() const {
  using Answer = std::variant<NeedBytes, Framed>;
  if (unread_.empty()) return Answer(NeedBytes{may_be_ssl2() ? 1 : kRecordHeaderSize});
  const std::size_t size = header_size(unread_[0]);
  if (unread_.size() < size) return Answer(NeedBytes{size - unread_.size()});
  if (size == kRecordHeaderSize) {
    return Answer(Framed{decode_record_header(unread_.first<kRecordHeaderSize>()), size});
  }
  KTLS_TRY(const RecordHeader header, decode_ssl2_header(unread_.first(size)));
  return Answer(Framed{header, size});
}

bool RecordLayer::is_ssl2() const {
  return read_.current && read_.current->version() == ProtocolVersion::kSsl2;
}

bool RecordLayer::may_be_ssl2() const {
  return rules_.takes_ssl2 || is_ssl2();
}

std::size_t RecordLayer::header_size(std::uint8_t first) const {
  // Under keys of SSLv2 nothing else can come, whatever the length's first byte looks like.
  if (is_ssl2()) return ssl2_header_size_of(first);
  return may_be_ssl2() ? header_size_of(first) : kRecordHeaderSize;
}

std::size_t RecordLayer::bytes_wanted() const {
  if (!read_.usable()) return 0;
  const auto answer = decode_header();
  if (!answer) return 0;
  if (const auto* need = std::get_if<NeedBytes>(&*answer)) return need->count;
  const Framed& framed = std::get<Framed>(*answer);
  if (!check_header(framed.header) || !check_size(framed.header)) return 0;
  const std::size_t size = framed.header_size + framed.header.body_size;
  return size > unread_.size() ? size - unread_.size() : 0;
}

Result<NextRecord> RecordLayer::open_next() {
  for (;;) {
    KTLS_TRY(const auto answer, decode_header());
    if (const auto* need = std::get_if<NeedBytes>(&answer)) return *need;
    const RecordHeader& header = std::get<Framed>(answer).header;
    const std::size_t header_size = std::get<Framed>(answer).header_size;
    // A header that cannot be good is refused now: nobody waits for the rest of such a record.
    if (auto checked = check_header(header).and_then([&] { return check_size(header); });
        !checked) {
      return ktls::fail(std::move(checked).error());
    }
    const std::size_t size = header_size + header.body_size;
    if (unread_.size() < size) return NeedBytes{size - unread_.size()};
    auto record = open_record(header, unread_.subspan(header_size, header.body_size));
    if (!record && !skips(record.error(), header.body_size)) {
      return ktls::fail(std::move(record).error());
    }
    unread_ = unread_.subspan(size);
    if (record) return *std::move(record);
  }
}

bool RecordLayer::reads_13() const {
  return read_.current->is_null() ? is_13_ : read_.current->version() == ProtocolVersion::kTls13;
}

Result<void> RecordLayer::check_size(const RecordHeader& header) const {
  const std::size_t expansion_max = reads_13() ? kExpansionMax13 : expansion_max_;
  if (header.body_size > receive_limit_ + expansion_max) {
    return overflow("record header: longer than a record may be");
  }
  return {};
}

Result<void> RecordLayer::check_header(const RecordHeader& header) const {
  if (!rules_.checks_headers) return {};
  const ConnectionState& state = *read_.current;
  if (auto checked = check_record_header(header, kBodySizeMax); !checked) return checked;
  if (state.is_null()) {
    if (header.body_size > receive_limit_) return overflow("record header: longer than it may be");
    return {};
  }
  const bool is_13 = reads_13();
  const bool is_clear = is_13 && is_clear_in_13(header, header.body_size);
  if (is_13 && !is_clear && header.type != ContentType::kApplicationData) {
    return unexpected("record header: unprotected record on a protected connection");
  }
  const auto version = is_13 ? kRecordVersion : static_cast<std::uint16_t>(state.version());
  if (header.version != version) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kProtocolVersion,
                  "record header: not the connection's version");
  }
  return {};
}

bool RecordLayer::is_clear_in_13(const RecordHeader& header, std::size_t body_size) const {
  if (!rules_.takes_clear_records) return false;
  return header.type == ContentType::kChangeCipherSpec ||
         (header.type == ContentType::kAlert && body_size <= kAlertSize && !has_opened_protected_);
}

Result<Record> RecordLayer::open_record(const RecordHeader& header, std::span<std::uint8_t> body) {
  ConnectionState& state = *read_.current;
  const bool is_13 = reads_13() && !state.is_null();
  if (header.is_ssl2 && !state.is_null() && state.version() != ProtocolVersion::kSsl2) {
    return refuse_ssl2_record(state.suite(), body.size());
  }
  if (!header.is_ssl2 && state.version() == ProtocolVersion::kSsl2) {
    return unexpected("a TLS record under keys of SSLv2");
  }
  if (state.is_null() && skips_early_data_ && header.type == ContentType::kApplicationData) {
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "early data before there are keys");
  }
  const bool is_clear = is_13 && is_clear_in_13(header, body.size());
  auto opened = is_clear ? Opened{.type = header.type, .content = body, .inner_size = body.size()}
                         : state.open(header, body);
  if (!opened) return ktls::fail(std::move(opened).error());
  set_early_data(false);
  has_opened_protected_ = has_opened_protected_ || (!is_clear && !state.is_null());
  const bool is_inner = is_13 && !is_clear;
  if (auto checked = check_opened(*opened, is_inner); !checked) {
    return ktls::fail(std::move(checked).error());
  }
  if (auto checked = check_type(*opened, is_inner); !checked) {
    return ktls::fail(std::move(checked).error());
  }
  Record record{.type = opened->type, .content = opened->content, .header = header};
  if (header.is_ssl2 && handshake_finished_) record.type = ContentType::kApplicationData;
  if (is_inner) {
    record.header.version = kVersion13;
    record.header.body_size = opened->content.size();
  }
  record.header.type = record.type;
  return record;
}

// Asked once the record is known to be the peer's, as libssl does.
Result<void> RecordLayer::check_opened(const Opened& opened, bool is_13) const {
  // RFC 8446 section 5.4: the full encoded TLSInnerPlaintext "MUST NOT exceed 2^14 + 1 octets".
  if (is_13 && opened.inner_size > receive_limit_ + kInnerTypeSize) {
    return overflow("record: content and padding over the limit");
  }
  // The same section: without a non-zero octet, "it MUST terminate the connection with an
  // "unexpected_message" alert."
  if (is_13 && opened.type == ContentType::kInvalid) {
    return unexpected("record: padding without a content type");
  }
  if (opened.content.size() > receive_limit_) return overflow("record: content over the limit");
  return {};
}

Result<void> RecordLayer::check_type(const Opened& opened, bool is_13) {
  if (!rules_.checks_types) return {};
  // RFC 8446 section 5: a protected change_cipher_spec, and any type that is not known, "MUST" end
  // in unexpected_message.
  if (is_13 && (opened.type == ContentType::kChangeCipherSpec || !is_content_type(opened.type))) {
    return unexpected("record: content type inside");
  }
  if (!opened.content.empty()) {
    empty_records_ = 0;
    return {};
  }
  // Section 5.4: "Implementations MUST NOT send Handshake and Alert records that have a zero-length
  // TLSInnerPlaintext.content; if such a message is received, the receiving implementation MUST
  // terminate the connection with an "unexpected_message" alert."
  if (is_13 && opened.type != ContentType::kApplicationData) {
    return unexpected("record: empty handshake or alert");
  }
  if (++empty_records_ <= kEmptyRecordsMax) return {};
  return refuse(ErrorCode::kLimitReached, AlertDescription::kUnexpectedMessage,
                "too many empty records in a row");
}

void RecordLayer::set_early_data(bool is_skipped) {
  skips_early_data_ = is_skipped;
  early_data_skipped_ = 0;
  empty_records_skipped_ = 0;
}

bool RecordLayer::skips(const Error& error, std::size_t body_size) {
  if (!skips_early_data_ || error.code != ErrorCode::kBadRecordMac) return false;
  // An empty one costs us as well, and must not be free for ever.
  const std::size_t cost =
      std::max<std::size_t>(body_size, empty_records_skipped_++ < kEmptyRecordsMax ? 0 : 1);
  if (early_data_skipped_ + cost >= early_data_max_) return false;
  early_data_skipped_ += cost;
  return true;
}

// --- writing ---------------------------------------------------------------------------------

bool RecordLayer::splits_first_byte(ContentType type) const {
  return type == ContentType::kApplicationData &&
         write_.current->suite().bulk_cipher->kind == ProtectionKind::kCbc &&
         write_.current->version() <= ProtocolVersion::kTls10;
}

bool RecordLayer::goes_in_clear(ContentType type) const {
  return type == ContentType::kChangeCipherSpec &&
         write_.current->version() == ProtocolVersion::kTls13;
}

std::size_t RecordLayer::fragment_size_max() const {
  return std::min(fragment_size_max_, write_.current->content_size_max());
}

std::size_t RecordLayer::padding_for(ContentType type, std::size_t content_size) const {
  if (!padding_policy_ || write_.current->version() != ProtocolVersion::kTls13) return 0;
  const std::size_t size_max = fragment_size_max();
  const std::size_t padding_max = size_max > content_size ? size_max - content_size : 0;
  return std::min(padding_max, padding_policy_(content_size, type, padding_max));
}

std::size_t RecordLayer::sealed_size(std::size_t content_size) const {
  if (!write_.current) return 0;
  const std::size_t size_max = fragment_size_max();
  if (padding_policy_ && write_.current->version() == ProtocolVersion::kTls13) {
    // Every record may be padded to the full, an empty one as well.
    const std::size_t records = content_size == 0 ? 1 : (content_size - 1) / size_max + 1;
    return records * write_.current->sealed_size(size_max);
  }
  if (content_size == 0) return write_.current->sealed_size(0);
  std::size_t size = 0;
  if (splits_first_byte(ContentType::kApplicationData) && content_size > 1) {
    size += write_.current->sealed_size(1);  // one more record; its byte is counted below as well
  }
  size += content_size / size_max * write_.current->sealed_size(size_max);
  const std::size_t rest = content_size % size_max;
  if (rest != 0) size += write_.current->sealed_size(rest);
  return size;
}

Result<std::size_t> RecordLayer::seal(ContentType type, std::span<const std::uint8_t> content,
                                      std::span<std::uint8_t> wire) {
  if (auto usable = write_.usable(); !usable) return ktls::fail(std::move(usable).error());
  if (!is_content_type(type) || (content.empty() && type != ContentType::kApplicationData) ||
      wire.size() < sealed_size(content.size())) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument,
                                "seal: content type, empty content, or too little room"));
  }
  if (goes_in_clear(type)) return seal_record({.type = type, .content = content}, wire);
  const bool splits = splits_first_byte(type) && content.size() > 1;
  const std::size_t fragment_max = fragment_size_max();
  const std::size_t whole = splits ? content.size() - 1 : content.size();
  const std::size_t records = (whole == 0 ? 1 : (whole - 1) / fragment_max + 1) + (splits ? 1 : 0);
  // Asked for all records at once: a call that seals some of its content could not say so.
  if (write_.current->records_left() < records) {
    return refuse(ErrorCode::kLimitReached, AlertDescription::kInternalError,
                  "the sequence number would wrap");
  }
  std::size_t written = 0;
  std::size_t size_max = splits ? 1 : fragment_max;
  do {
    const auto fragment = content.first(std::min(content.size(), size_max));
    const Outgoing outgoing{
        .type = type, .content = fragment, .padding = padding_for(type, fragment.size())};
    auto sealed = write_.current->seal(outgoing, wire.subspan(written));
    if (!sealed) {
      write_.error = sealed.error();
      return sealed;
    }
    written += *sealed;
    content = content.subspan(fragment.size());
    size_max = fragment_max;
  } while (!content.empty());
  return written;
}

std::size_t RecordLayer::sealed_record_size(const Outgoing& outgoing) const {
  if (!write_.current) return 0;
  if (goes_in_clear(outgoing.type)) return kRecordHeaderSize + outgoing.content.size();
  return write_.current->sealed_size(outgoing.content.size(), outgoing.padding);
}

Result<std::size_t> RecordLayer::seal_record(const Outgoing& outgoing,
                                             std::span<std::uint8_t> wire) {
  if (auto usable = write_.usable(); !usable) return ktls::fail(std::move(usable).error());
  if (goes_in_clear(outgoing.type)) {
    // Content is all that such a record has.
    return ConnectionState::null().seal({.type = outgoing.type, .content = outgoing.content}, wire);
  }
  if (write_.current->version() == ProtocolVersion::kTls13 &&
      outgoing.type == ContentType::kInvalid) {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument, "seal: TLS 1.3 takes a type of zero for padding"));
  }
  auto sealed = write_.current->seal(outgoing, wire);
  // What was asked for wrongly may be asked for again; what libcrypto failed at may not.
  if (!sealed && sealed.error().code == ErrorCode::kCrypto) write_.error = sealed.error();
  return sealed;
}

// --- connection states -----------------------------------------------------------------------

Result<void> RecordLayer::change(Half& half) {
  if (auto usable = half.usable(); !usable) {
    half.pending.reset();  // nothing is left to come up later
    return usable;
  }
  if (rules_.changes_to_clear_unsafely && !half.pending) {
    half.pending = ConnectionState::null(wire_version_);
  }
  if (half.pending && is_ssl2_version(wire_version_)) half.pending->continue_from(*half.current);
  return half.change();
}

void RecordLayer::reset_states() {
  has_opened_protected_ = false;
  empty_records_ = 0;
  for (Half* half : {&read_, &write_}) {
    *half = Half{};
    half->current = ConnectionState::null(wire_version_);
  }
}

Result<void> RecordLayer::change_read_state() {
  return change(read_);
}

Result<void> RecordLayer::change_write_state() {
  return change(write_);
}

Result<ConnectionState> RecordLayer::release_read() {
  if (auto usable = read_.usable(); !usable) return ktls::fail(std::move(usable).error());
  if (!unread_.empty()) return violation("release_read: ciphertext is buffered");
  return read_.release();
}

Result<ConnectionState> RecordLayer::release_write() {
  return write_.release();
}

Result<void> RecordLayer::Half::usable() const {
  if (error) return ktls::fail(*error);
  if (!current) return violation("the direction was released");
  return {};
}

Result<void> RecordLayer::Half::change() {
  if (!pending) return violation("no connection state is pending");
  current = std::exchange(pending, std::nullopt);
  return {};
}

Result<ConnectionState> RecordLayer::Half::release() {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  if (current->is_null()) return violation("the null state is not handed out");
  // Whoever went on with it would take the last number again, and with it a nonce.
  if (current->records_left() == 0) {
    return refuse(ErrorCode::kLimitReached, AlertDescription::kInternalError,
                  "no sequence number is left for another record");
  }
  ConnectionState released = *std::exchange(current, std::nullopt);
  return released;
}

void RecordLayer::Half::close() {
  current.reset();
  pending.reset();
}

}  // namespace tls
