// Connection states: which protection serves a suite, and the sequence number around it.
#include "userspace/record/connection_state.h"

#include <utility>

#include "userspace/record/aead_protection_12.h"
#include "userspace/record/aead_protection_13.h"
#include "userspace/record/null_protection.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

// The kernel floor numbers versions as the wire does, and so does this one.
constexpr ktls::Version kernel_version(ProtocolVersion version) {
  return static_cast<ktls::Version>(version);
}
static_assert(kernel_version(ProtocolVersion::kTls12) == ktls::Version::kTls12);
static_assert(kernel_version(ProtocolVersion::kTls13) == ktls::Version::kTls13);

}  // namespace

ktls::Result<ConnectionState> ConnectionState::create(const CipherSuite& suite, TrafficKeys keys,
                                                      std::uint64_t sequence,
                                                      std::uint64_t explicit_nonce) {
  const BulkCipher& cipher = *suite.bulk_cipher;
  const bool is_13 = suite.version == ProtocolVersion::kTls13;
  if (cipher.kind != ProtectionKind::kAead) {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument, "connection state: not an AEAD suite"));
  }
  if (keys.key.size() != cipher.key_size ||
      keys.iv.size() != (is_13 ? kAeadNonceSize : cipher.fixed_iv_size_12)) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument,
                                "connection state: key or IV not of the suite's size"));
  }
  KTLS_TRY(std::unique_ptr<Protection> protection,
           is_13 ? AeadProtection13::create(cipher, keys)
                 : AeadProtection12::create(cipher, keys, sequence, explicit_nonce));
  return ConnectionState(suite, std::move(keys), std::move(protection), sequence);
}

ConnectionState ConnectionState::null() {
  return {null_cipher_suite(), TrafficKeys{}, std::make_unique<NullProtection>(), 0};
}

ConnectionState::ConnectionState(const CipherSuite& suite, TrafficKeys keys,
                                 std::unique_ptr<Protection> protection, std::uint64_t sequence)
    : suite_(&suite),
      keys_(std::move(keys)),
      protection_(std::move(protection)),
      sequence_(sequence) {}

ConnectionState::ConnectionState(ConnectionState&&) noexcept = default;
ConnectionState& ConnectionState::operator=(ConnectionState&&) noexcept = default;
ConnectionState::~ConnectionState() = default;

// RFC 8446 section 5.3: "Because the size of sequence numbers is 64-bit, they should not wrap. If
// a TLS implementation would need to wrap a sequence number, it MUST either rekey or terminate the
// connection."
ktls::Result<void> ConnectionState::usable() const {
  if (!protection_) {
    return ktls::fail(Error::of(ErrorCode::kProtocolViolation, "the connection state is spent"));
  }
  if (sequence_exhausted_) {
    return refuse(ErrorCode::kLimitReached, AlertDescription::kInternalError,
                  "the sequence number would wrap");
  }
  return {};
}

void ConnectionState::consume_sequence() {
  if (sequence_ == UINT64_MAX) {
    sequence_exhausted_ = true;
  } else {
    ++sequence_;
  }
}

std::uint64_t ConnectionState::records_left() const {
  if (sequence_exhausted_) return 0;
  return sequence_ == 0 ? UINT64_MAX : UINT64_MAX - sequence_ + 1;
}

std::size_t ConnectionState::overhead() const {
  return protection_ ? protection_->overhead() : 0;
}

ktls::Result<std::size_t> ConnectionState::seal(ContentType type,
                                                std::span<const std::uint8_t> content,
                                                std::span<std::uint8_t> wire) {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  const std::size_t size = content.size() + protection_->overhead();
  if (content.size() > kPlaintextSizeMax || wire.size() < size) {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument,
                  "seal: content over 2^14 bytes, or too little room for the record"));
  }
  auto sealed = protection_->seal(sequence_, type, content, wire.first(size));
  // Also when libcrypto failed: `wire` may hold ciphertext of this nonce then.
  consume_sequence();
  if (!sealed) return ktls::fail(std::move(sealed).error());
  return size;
}

ktls::Result<void> ConnectionState::check_header(const RecordHeader& header) const {
  if (auto checked = usable(); !checked) return checked;
  return protection_->check_header(header);
}

ktls::Result<ConnectionState::Opened> ConnectionState::open(std::span<std::uint8_t> record) {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  if (record.size() < kRecordHeaderSize ||
      record.size() - kRecordHeaderSize !=
          decode_record_header(record.first<kRecordHeaderSize>()).body_size) {
    return refuse(ErrorCode::kDecodeError, AlertDescription::kDecodeError,
                  "open: not one whole record");
  }
  auto opened = protection_->open(sequence_, record);
  if (opened) consume_sequence();
  return opened;
}

ktls::Result<ktls::RecordKeys> ConnectionState::into_record_keys(ConnectionState state) {
  if (auto checked = state.usable(); !checked) return ktls::fail(std::move(checked).error());
  const auto cipher = state.suite_->bulk_cipher->kernel;
  if (!cipher) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "the kernel has no such cipher"));
  }
  return ktls::RecordKeys{
      .version = kernel_version(state.suite_->version),
      .cipher = *cipher,
      .key = std::move(state.keys_.key),
      .iv = std::move(state.keys_.iv),
      .explicit_nonce = state.protection_->explicit_nonce(state.sequence_),
      .sequence = state.sequence_,
  };
}

}  // namespace tls
