// What must come of a fuzzed session's acts: delivery, and the promises that the reader keeps.
#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <variant>

#include "tests/fuzz/record_session.h"
#include "tests/fuzz/require.h"

namespace tls::fuzz {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::vector<std::uint8_t>;

// Content that is at least this long is not found by chance where it should not be.
constexpr std::size_t kSearchedSizeMin = 16;

bool is_content_type(ContentType type) {
  return type >= ContentType::kChangeCipherSpec && type <= ContentType::kApplicationData;
}

bool is_ssl2_version(std::uint16_t version) {
  return version == 0x0002 || version == 0x0200;
}

bool same_error(const Error& a, const Error& b) {
  return a.code == b.code && a.alert == b.alert && a.detail == b.detail;
}

// `is_ssl2`: the reader's keys are, so that nothing else can come.
std::size_t header_size_for(std::uint8_t first, bool is_ssl2, const RecordRules& rules) {
  if (is_ssl2) return ssl2_header_size_of(first);
  return rules.takes_ssl2 ? header_size_of(first) : kRecordHeaderSize;
}

template <class T>
void require_same_error(const ktls::Result<T>& result, const Error& error) {
  require(!result && same_error(result.error(), error), "a dead direction answers its error");
}

}  // namespace

// --- delivery ------------------------------------------------------------------------------------

void RecordSession::pump() {
  opened_.clear();
  if (is_exact_) open_all();  // says what it needs
  while (!queue_.empty() && !error_) {
    const auto unread = reader_.unread();
    const std::size_t taken = is_exact_ ? std::min(need_, queue_.size()) : queue_.size();
    // A buffer of just that size, so that ASan sees what is read past it, or in the old one.
    Bytes fresh(unread.size() + taken);
    const auto end = std::ranges::copy(unread, fresh.begin()).out;
    std::copy_n(queue_.begin(), taken, end);
    queue_.erase(queue_.begin(), std::next(queue_.begin(), static_cast<std::ptrdiff_t>(taken)));
    wire_ = std::move(fresh);
    reader_.feed(wire_);
    const std::size_t opened = opened_.size();
    open_all();
    require(!is_exact_ || opened_.size() == opened || reader_.unread().empty(),
            "nothing past a record was asked for");
  }
}

RecordSession::Before RecordSession::before(std::span<std::uint8_t> place) const {
  const ConnectionState& state = *reader_.read_state();
  return {place, Bytes(place.begin(), place.end()), state.sequence(), state.records_left(),
          state.is_null()};
}

void RecordSession::open_all() {
  for (;;) {
    const Before was = before(reader_.unread());
    const auto next = reader_.next_record();
    if (!next) {
      error_ = next.error();
      failed_.assign(reader_.unread().begin(), reader_.unread().end());
      return;
    }
    if (const auto* need = std::get_if<NeedBytes>(&*next)) {
      check_need(need->count);
      need_ = need->count;
      return;
    }
    require(reader_.unread().size() < was.place.size(), "a record is taken from what was fed");
    check_record(std::get<Record>(*next), was);
  }
}

// As a caller does that takes headers apart for itself. The body is what came, whatever its header
// says of its size.
void RecordSession::open_body_of(std::span<const std::uint8_t> wire) {
  if (wire.empty()) return;
  const std::size_t header_size = header_size_for(wire[0], is_ssl2(), ground_.rules);
  if (wire.size() < header_size) return;
  RecordHeader header{};
  if (header_size == kRecordHeaderSize) {
    header = decode_record_header(wire.first<kRecordHeaderSize>());
  } else {
    const auto decoded = decode_ssl2_header(wire.first(header_size));
    if (!decoded) return;
    header = *decoded;
  }
  const auto rest = wire.subspan(header_size);
  Bytes body(rest.begin(), rest.end());
  const Before was = before(body);
  const auto record = reader_.open_body(header, body);
  if (record) {
    check_record(*record, was);
  } else {
    error_ = record.error();
    failed_ = body;
  }
}

// --- what has to hold ----------------------------------------------------------------------------

void RecordSession::check_need(std::size_t count) const {
  const auto unread = reader_.unread();
  require(count > 0, "NeedBytes asks for something");
  require(count == reader_.bytes_wanted(), "NeedBytes asks for what bytes_wanted() says");
  if (unread.empty()) {
    require(count <= (ground_.rules.takes_ssl2 ? 2 : kRecordHeaderSize),
            "NeedBytes asks for a header at most");
    return;
  }
  const std::size_t header_size = header_size_for(unread[0], is_ssl2(), ground_.rules);
  if (unread.size() < header_size) {
    require(count == header_size - unread.size(), "NeedBytes asks for the header's rest");
    return;
  }
  const std::size_t body_size = header_size == kRecordHeaderSize
                                    ? std::size_t{unread[3]} << 8U | unread[4]
                                : header_size == 2 ? (unread[0] & 0x7fU) << 8U | unread[1]
                                                   : (unread[0] & 0x3fU) << 8U | unread[1];
  require(count + unread.size() == header_size + body_size, "NeedBytes asks for the record's rest");
}

void RecordSession::check_error(const Error& error) {
  require(!error.detail.empty(), "an error says what was wrong");
  require(error.code != ErrorCode::kCrypto, "no input makes libcrypto fail", error.detail);
  require(error.alert != Error::kNoAlert, "an error of the peer's has its alert", error.detail);
  std::array<std::uint8_t, 8> body{};
  const RecordHeader header{
      .type = ContentType::kAlert, .version = kRecordVersion, .body_size = body.size()};
  require_same_error(reader_.next_record(), error);
  require_same_error(reader_.open_body(header, body), error);
  require_same_error(reader_.change_read_state(), error);
  require_same_error(reader_.release_read(), error);
  require_same_error(reader_.next_record(), error);  // nor did any of these revive it
}

void RecordSession::check_clear_record(const Record& record, const Before& before) const {
  if (!before.is_null) {
    require(ground_.rules.takes_clear_records &&
                reader_.read_state()->version() == ProtocolVersion::kTls13,
            "no record in the clear is taken under keys");
    require(record.type == ContentType::kChangeCipherSpec ||
                (record.type == ContentType::kAlert && record.content.size() <= 2 &&
                 !has_opened_protected_),
            "only change_cipher_spec and a first alert come in the clear");
  }
  const auto at = static_cast<std::size_t>(record.content.data() - before.place.data());
  require(
      std::ranges::equal(record.content, std::span(before.copy).subspan(at, record.content.size())),
      "a record in the clear is what was fed");
}

void RecordSession::check_record(const Record& record, const Before& before) {
  const auto content = record.content;
  require(content.data() >= before.place.data() &&
              content.data() + content.size() <= before.place.data() + before.place.size(),
          "content lies in what was fed");
  require(content.size() <= receive_limit_, "content keeps the receive limit");
  require(record.header.type == record.type, "a record's header says its type");
  opened_.push_back({record.type, Bytes(content.begin(), content.end())});
  // Neither tells alone: the first record leaves as many as before, and the last number of all
  // stays.
  const ConnectionState& state = *reader_.read_state();
  const bool is_counted =
      state.sequence() != before.sequence || state.records_left() != before.records_left;
  if (before.is_null || !is_counted) return check_clear_record(record, before);
  has_opened_protected_ = true;

  const auto sent = sent_.find({epoch_, before.sequence});
  require(sent != sent_.end(), "only what the peer sealed under this number opens");
  Bytes expected = sent->second.bytes;
  if (!is_ssl2()) {
    require(record.type == sent->second.type, "a record opens with the type it was sealed with");
  } else {
    require(record.type ==
                (handshake_finished_ ? ContentType::kApplicationData : ContentType::kHandshake),
            "SSLv2's records have the handshake's type until it is over");
    // The MAC covers the padding, but not the header that says how long it is.
    if (state.suite().bulk_cipher->kind == ProtectionKind::kCbc) {
      const std::size_t padding = kSsl2BlockSize - expected.size() % kSsl2BlockSize;
      expected.insert(expected.end(), padding, static_cast<std::uint8_t>(padding - 1));
    }
    expected.resize(expected.size() -
                    std::min<std::size_t>(expected.size(), record.header.padding));
  }
  // RFC 7366's MAC covers the ciphertext and not the block before it, from which TLS 1.0 and SSLv3
  // take the IV: where records are missing in between, the first block is anything, padding in it
  // too.
  const bool has_unproven_block = !is_whole_ && state.encrypt_then_mac() &&
                                  state.version() <= ProtocolVersion::kTls10 && !is_ssl2();
  const std::size_t unproven = has_unproven_block ? state.suite().bulk_cipher->block_size : 0;
  if (expected.size() < unproven) return;
  require(content.size() == expected.size() &&
              std::ranges::equal(content.subspan(unproven), std::span(expected).subspan(unproven)),
          "a record opens to what was sealed");
}

// Whether a sealed message has to open, given that it comes whole and in step.
bool RecordSession::must_arrive(const Sealed& sealed) const {
  const ConnectionState& state = *reader_.read_state();
  const bool is_null = state.is_null();
  const bool is_13 = is_null ? is_13_in_clear_ : state.version() == ProtocolVersion::kTls13;
  const bool has_ssl2_header = is_null ? is_ssl2_version(wire_version_) : is_ssl2();
  if (has_ssl2_header && !ground_.rules.takes_ssl2) return false;
  const bool has_major_3 = has_ssl2_header || !is_null || wire_version_ >> 8U == 3;
  if (ground_.rules.checks_headers && !has_major_3) return false;
  if (is_null && reader_.skips_early_data()) return false;
  const std::size_t expansion = is_13 ? kExpansionMax13 : expansion_max_;
  // Of an empty record; another one has at most a block more, of padding.
  const std::size_t overhead =
      is_null ? 0 : state.sealed_size(0) + state.suite().bulk_cipher->block_size;
  return std::ranges::all_of(sealed.contents, [&](const Content& content) {
    const std::size_t padded = content.bytes.size() + (is_13 ? sealed.padding : 0);
    return is_content_type(content.type) && !content.bytes.empty() && padded <= receive_limit_ &&
           padded + overhead <= receive_limit_ + (is_null ? 0 : expansion) &&
           !(is_13 && !is_null && content.type == ContentType::kChangeCipherSpec);
  });
}

void RecordSession::check_arrived(const Sealed& sealed) const {
  require(!error_, "what was sealed opens", error_ ? error_->detail : std::string());
  require(opened_.size() == sealed.contents.size(), "every record that was sealed opens");
  require(reader_.unread().empty(), "and nothing is left of it");
  for (std::size_t i = 0; i < opened_.size(); ++i) {
    require(opened_[i].bytes == sealed.contents[i].bytes, "a record opens to what was sealed");
  }
}

// A record that does not authenticate leaves nothing of its content behind.
void RecordSession::check_wiped(const Sealed& sealed) const {
  if (!error_ || error_->code != ErrorCode::kBadRecordMac || !opened_.empty()) return;
  const ProtectionKind kind = reader_.read_state()->suite().bulk_cipher->kind;
  if (kind == ProtectionKind::kNull || kind == ProtectionKind::kIntegrity) return;
  for (const Content& content : sealed.contents) {
    if (content.bytes.size() < kSearchedSizeMin) continue;
    const auto head = std::span(content.bytes).first(kSearchedSizeMin);
    require(std::search(failed_.begin(), failed_.end(), head.begin(), head.end()) == failed_.end(),
            "content that did not authenticate is wiped", error_->detail);
  }
}

}  // namespace tls::fuzz
