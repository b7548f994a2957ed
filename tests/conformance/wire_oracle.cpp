// Epochs, keys and numbers of a captured direction.

#include "tests/conformance/wire_oracle.h"

#include <algorithm>
#include <string>
#include <utility>

#include "userspace/suite/alert.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::ContentType;
using tls::ProtocolVersion;
using tls::Role;

constexpr std::size_t kMessageHeaderSize = 4;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kServerHello = 2;
constexpr std::uint8_t kFinished = 20;
constexpr std::uint8_t kKeyUpdate = 24;
constexpr std::uint16_t kSupportedVersions = 43;

Error bad(std::string_view what) {
  return Error::of(ErrorCode::kUnexpectedMessage, what);
}

std::size_t number_at(std::span<const std::uint8_t> bytes, std::size_t offset, std::size_t size) {
  std::size_t number = 0;
  for (const std::uint8_t byte : bytes.subspan(offset, size)) number = number << 8U | byte;
  return number;
}

// RFC 8446 section 4.2.1: where the extension is, its version is the one that was chosen.
ProtocolVersion chosen_version(std::span<const std::uint8_t> extensions) {
  while (extensions.size() >= 4) {
    const std::size_t size = number_at(extensions, 2, 2);
    if (size > extensions.size() - 4) break;
    if (number_at(extensions, 0, 2) == kSupportedVersions && size == 2) {
      return static_cast<ProtocolVersion>(number_at(extensions, 4, 2));
    }
    extensions = extensions.subspan(4 + size);
  }
  return ProtocolVersion::kTls12;
}

// A hello at the start of a record in the clear; RFC 8446 sections 4.1.2 and 4.1.3. The first one
// of a HelloRetryRequest is replaced by the second.
Result<void> read_hello(std::span<const std::uint8_t> record, Hellos& hellos) {
  constexpr std::size_t kRandomAt = kMessageHeaderSize + 2;
  constexpr std::size_t kSessionAt = kRandomAt + tls::kRandomSize;
  if (record.size() <= kSessionAt) return {};
  const auto random = record.subspan(kRandomAt, tls::kRandomSize);
  if (record[0] == kClientHello) std::ranges::copy(random, hellos.client_random.begin());
  if (record[0] != kServerHello) return {};
  std::ranges::copy(random, hellos.server_random.begin());
  const std::size_t suite_at = kSessionAt + 1 + record[kSessionAt];
  const std::size_t extensions_at = suite_at + 2 + 1 + 2;
  const std::size_t message_end = kMessageHeaderSize + number_at(record, 1, 3);
  if (message_end > record.size() || suite_at + 3 > message_end) {
    return ktls::fail(bad("a ServerHello that is not whole"));
  }
  hellos.suite = tls::find_cipher_suite(static_cast<std::uint16_t>(number_at(record, suite_at, 2)));
  if (hellos.suite == nullptr) return ktls::fail(bad("a suite that is in no table"));
  hellos.version = extensions_at < message_end
                       ? chosen_version(record.subspan(extensions_at, message_end - extensions_at))
                       : ProtocolVersion::kTls12;
  return {};
}

Result<tls::TrafficKeys> keys_12(const Hellos& hellos, Role sender,
                                 const tls::TrafficSecret& master_secret) {
  KTLS_TRY(tls::KeyBlock block, tls::derive_key_block(hellos.version, *hellos.suite,
                                                      tls::MasterSecret(master_secret.bytes()),
                                                      hellos.client_random, hellos.server_random));
  return std::move(sender == Role::kClient ? block.client_write : block.server_write);
}

}  // namespace

Error WireStream::named(Error error) const {
  std::string name = sender_ == Role::kClient ? "client to server" : "server to client";
  name += ", record " + std::to_string(records_);
  if (state_) name += ", number " + std::to_string(state_->sequence()) + " of its key";
  error.detail = name + ": " + error.detail;
  return error;
}

Result<void> WireStream::observe(std::span<const std::uint8_t> bytes) {
  if (error_) return ktls::fail(*error_);
  unread_.insert(unread_.end(), bytes.begin(), bytes.end());
  std::span<std::uint8_t> rest = unread_;
  while (rest.size() >= tls::kRecordHeaderSize) {
    const tls::RecordHeader header =
        tls::decode_record_header(rest.first<tls::kRecordHeaderSize>());
    const std::size_t size = tls::kRecordHeaderSize + header.body_size;
    if (rest.size() < size) break;
    auto taken = tls::check_record_header(header, tls::kCiphertextSizeMax).and_then([&] {
      return take_record(header, rest.subspan(tls::kRecordHeaderSize, header.body_size));
    });
    if (!taken) {
      error_ = named(std::move(taken).error());
      return ktls::fail(*error_);
    }
    if (!*taken) break;
    ++records_;
    rest = rest.subspan(size);
  }
  unread_.erase(unread_.begin(), unread_.end() - static_cast<std::ptrdiff_t>(rest.size()));
  return {};
}

Result<void> WireStream::finish() {
  if (auto observed = observe({}); !observed) return observed;
  if (!unread_.empty()) {
    error_ = named(bad(std::to_string(unread_.size()) + " bytes are no whole record, or no key " +
                       "log line told their secret"));
  } else if (!closed_) {
    error_ = named(bad("the stream ended without close_notify"));
  }
  return error_ ? ktls::fail(*error_) : Result<void>();
}

Result<bool> WireStream::take_record(const tls::RecordHeader& header,
                                     std::span<std::uint8_t> body) {
  if (closed_) return ktls::fail(bad("a record after close_notify"));
  if (due_) {
    KTLS_TRY(const bool changed, change_keys(*due_));
    if (!changed) return false;
    due_.reset();
  }
  // RFC 8446 appendix D.4: in TLS 1.3 a change_cipher_spec means nothing while the handshake lasts.
  const bool is_ccs = header.type == ContentType::kChangeCipherSpec;
  if (epoch_ == Epoch::kClear || (is_ccs && is_13() && epoch_ == Epoch::kHandshake)) {
    if (header.type != ContentType::kApplicationData) return take_clear(header, body);
    if (!is_13()) return ktls::fail(bad("application data in the clear"));
    KTLS_TRY(const bool changed, change_keys(Epoch::kHandshake));
    if (!changed) return false;
  }
  KTLS_TRY(const tls::Opened opened, state_->open(header, body));
  if (auto taken = take_opened(opened); !taken) return ktls::fail(std::move(taken).error());
  return true;
}

Result<bool> WireStream::take_clear(const tls::RecordHeader& header,
                                    std::span<const std::uint8_t> body) {
  switch (header.type) {
    case ContentType::kHandshake:
      if (auto read = read_hello(body, *hellos_); !read) return ktls::fail(std::move(read).error());
      return true;
    case ContentType::kChangeCipherSpec:
      if (!is_13() && hellos_->suite != nullptr) due_ = Epoch::kApplication;
      return true;
    default:
      return ktls::fail(bad("a record in the clear that is none of a handshake"));
  }
}

Result<void> WireStream::take_opened(const tls::Opened& opened) {
  switch (opened.type) {
    case ContentType::kHandshake:
      return take_messages(opened.content);
    case ContentType::kApplicationData:
      if (!finished_) return ktls::fail(bad("application data within the handshake"));
      ++data_records_;
      return content_.take(opened.content);
    case ContentType::kAlert:
      closed_ = opened.content.size() == 2 &&
                opened.content[1] == tls::code_of(tls::AlertDescription::kCloseNotify);
      if (closed_) return {};
      return ktls::fail(bad("an alert that is not close_notify"));
    default:
      return ktls::fail(bad("a type of content that has no place here"));
  }
}

Result<void> WireStream::take_messages(std::span<const std::uint8_t> content) {
  message_.insert(message_.end(), content.begin(), content.end());
  while (message_.size() >= kMessageHeaderSize) {
    const std::size_t size = kMessageHeaderSize + number_at(message_, 1, 3);
    if (message_.size() < size) break;
    const std::uint8_t type = message_[0];
    message_.erase(message_.begin(), message_.begin() + static_cast<std::ptrdiff_t>(size));
    if (auto taken = take_message(type); !taken) return taken;
  }
  return {};
}

Result<void> WireStream::take_message(std::uint8_t type) {
  if (finished_) {
    ++late_messages_;
    return type == kKeyUpdate ? update_key() : Result<void>();
  }
  if (type != kFinished) return {};
  // RFC 8446 section 5.1: "Handshake messages MUST NOT span key changes."
  if (!message_.empty()) return ktls::fail(bad("more in the record of Finished"));
  finished_ = true;
  if (is_13()) due_ = Epoch::kApplication;
  return {};
}

Result<bool> WireStream::change_keys(Epoch epoch) {
  const bool is_client = sender_ == Role::kClient;
  std::string_view label = "CLIENT_RANDOM";
  if (is_13() && epoch == Epoch::kHandshake) {
    label = is_client ? "CLIENT_HANDSHAKE_TRAFFIC_SECRET" : "SERVER_HANDSHAKE_TRAFFIC_SECRET";
  } else if (is_13()) {
    label = is_client ? "CLIENT_TRAFFIC_SECRET_0" : "SERVER_TRAFFIC_SECRET_0";
  }
  secret_ = keys_->secret(label);
  if (secret_.empty() || hellos_->suite == nullptr) return false;
  KTLS_TRY(tls::TrafficKeys keys, is_13() ? tls::derive_traffic_keys(*hellos_->suite, secret_)
                                          : keys_12(*hellos_, sender_, secret_));
  KTLS_TRY(state_,
           tls::ConnectionState::create(hellos_->version, *hellos_->suite, std::move(keys)));
  epoch_ = epoch;
  return true;
}

Result<void> WireStream::update_key() {
  KTLS_TRY(secret_, tls::derive_next_traffic_secret(*hellos_->suite, secret_));
  KTLS_TRY(tls::TrafficKeys keys, tls::derive_traffic_keys(*hellos_->suite, secret_));
  KTLS_TRY(state_,
           tls::ConnectionState::create(hellos_->version, *hellos_->suite, std::move(keys)));
  return {};
}

}  // namespace conformance
