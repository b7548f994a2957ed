// Connection states: which protection serves a suite, and the sequence number around it.
#include "userspace/record/connection_state.h"

#include <utility>

#include "userspace/record/aead_protection_12.h"
#include "userspace/record/aead_protection_13.h"
#include "userspace/record/cbc_protection.h"
#include "userspace/record/etm_protection.h"
#include "userspace/record/integrity_protection_13.h"
#include "userspace/record/null_protection.h"
#include "userspace/record/ssl2_protection.h"
#include "userspace/record/stream_protection.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ProtectionResult = ktls::Result<std::unique_ptr<Protection>>;

// The kernel floor numbers versions as the wire does, and so does this one.
constexpr ktls::Version kernel_version(ProtocolVersion version) {
  return static_cast<ktls::Version>(version);
}
static_assert(kernel_version(ProtocolVersion::kTls12) == ktls::Version::kTls12);
static_assert(kernel_version(ProtocolVersion::kTls13) == ktls::Version::kTls13);

tl::unexpected<Error> no_such(std::string_view detail) {
  return ktls::fail(Error::of(ErrorCode::kInvalidArgument, detail));
}

// The one place where a version, a suite and encrypt-then-MAC become a class.
ProtectionResult protection_of(ProtocolVersion version, const CipherSuite& suite,
                               const TrafficKeys& keys, const StateStart& start) {
  const BulkCipher& cipher = *suite.bulk_cipher;
  if (version == ProtocolVersion::kSsl2) {
    if (cipher.kind == ProtectionKind::kStream || cipher.kind == ProtectionKind::kCbc) {
      return Ssl2Protection::create(cipher, keys);
    }
    return no_such("SSLv2 has stream and CBC ciphers only");
  }
  if (version == ProtocolVersion::kTls13) {
    if (cipher.kind == ProtectionKind::kAead) return AeadProtection13::create(cipher, keys);
    if (cipher.kind == ProtectionKind::kIntegrity) {
      return IntegrityProtection13::create(suite.prf_hash, keys);
    }
    return no_such("TLS 1.3 has AEADs only");
  }
  switch (cipher.kind) {
    case ProtectionKind::kAead:
      return AeadProtection12::create(version, cipher, keys, start.sequence, start.explicit_nonce);
    case ProtectionKind::kCbc:
      return start.encrypt_then_mac
                 ? EtmProtection::create(version, suite, keys, start.fixed_iv_block)
                 : CbcProtection::create(version, suite, keys, start.fixed_iv_block);
    case ProtectionKind::kStream:
      if (start.encrypt_then_mac) {
        return no_such("encrypt-then-MAC is for CBC ciphers (RFC 7366 section 3)");
      }
      return StreamProtection::create(version, suite, keys);
    case ProtectionKind::kNull:
      if (!suite.mac) return no_such("records in the clear have no keys");
      return StreamProtection::create(version, suite, keys);
    case ProtectionKind::kIntegrity:
      break;
  }
  return no_such("RFC 9150's suites are for TLS 1.3");
}

bool has_sizes_of(const TrafficKeys& keys, ProtocolVersion version, const CipherSuite& suite) {
  const BulkCipher& cipher = *suite.bulk_cipher;
  const bool is_13 = version == ProtocolVersion::kTls13;
  const std::size_t mac_key_size =
      suite.mac && version != ProtocolVersion::kSsl2 ? size_of(*suite.mac) : 0;
  return keys.key.size() == cipher.key_size &&
         keys.iv.size() == (is_13 ? iv_size_13(cipher) : cipher.iv_size) &&
         keys.mac_key.size() == mac_key_size;
}

}  // namespace

ktls::Result<ConnectionState> ConnectionState::create(ProtocolVersion version,
                                                      const CipherSuite& suite, TrafficKeys keys,
                                                      const StateStart& start) {
  if (!has_sizes_of(keys, version, suite)) {
    return no_such("connection state: key, IV or MAC key not of the suite's size");
  }
  KTLS_TRY(std::unique_ptr<Protection> protection, protection_of(version, suite, keys, start));
  return ConnectionState(version, suite, std::move(keys), std::move(protection), start);
}

ConnectionState ConnectionState::null(std::uint16_t wire_version, std::uint64_t sequence) {
  return {ProtocolVersion::kTls12,
          null_cipher_suite(),
          TrafficKeys{},
          std::make_unique<NullProtection>(wire_version),
          {.sequence = sequence, .explicit_nonce = 0}};
}

ConnectionState::ConnectionState(ProtocolVersion version, const CipherSuite& suite,
                                 TrafficKeys keys, std::unique_ptr<Protection> protection,
                                 const StateStart& start)
    : version_(version),
      suite_(&suite),
      keys_(std::move(keys)),
      protection_(std::move(protection)),
      sequence_(start.sequence),
      encrypt_then_mac_(start.encrypt_then_mac) {}

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

void ConnectionState::consume_sequence(bool is_ssl2) {
  if (is_null() && !is_ssl2) return;
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

std::uint64_t ConnectionState::explicit_nonce() const {
  return protection_ ? protection_->explicit_nonce(sequence_) : 0;
}

std::size_t ConnectionState::content_size_max() const {
  return protection_ ? protection_->content_size_max() : 0;
}

std::size_t ConnectionState::sealed_size(std::size_t content_size, std::size_t padding) const {
  return protection_ ? protection_->sealed_size(content_size, padding) : 0;
}

ktls::Result<std::size_t> ConnectionState::seal(const Outgoing& outgoing,
                                                std::span<std::uint8_t> wire) {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  const std::size_t size = protection_->sealed_size(outgoing.content.size(), outgoing.padding);
  if (outgoing.content.size() > kBodySizeMax || outgoing.padding > kBodySizeMax ||
      size > kRecordHeaderSize + kBodySizeMax || wire.size() < size) {
    return no_such("seal: longer than a record can be, or too little room for it");
  }
  auto sealed = protection_->seal(sequence_, outgoing, wire.first(size));
  if (!sealed && sealed.error().code == ErrorCode::kInvalidArgument) {
    return ktls::fail(std::move(sealed).error());
  }
  // Also when libcrypto failed: `wire` may hold ciphertext of this nonce then.
  consume_sequence(protection_->is_ssl2());
  if (!sealed) return ktls::fail(std::move(sealed).error());
  return size;
}

ktls::Result<Opened> ConnectionState::open(const RecordHeader& header,
                                           std::span<std::uint8_t> body) {
  if (auto checked = usable(); !checked) return ktls::fail(std::move(checked).error());
  auto opened = protection_->open(sequence_, header, body);
  if (opened) consume_sequence(header.is_ssl2);
  return opened;
}

void ConnectionState::set_fixed_iv_block(std::span<const std::uint8_t> block) {
  if (protection_) protection_->set_fixed_iv_block(block);
}

void ConnectionState::continue_from(const ConnectionState& before) {
  sequence_ = before.sequence_;
  sequence_exhausted_ = before.sequence_exhausted_;
}

void ConnectionState::set_sequence_unsafely(std::uint64_t sequence) {
  sequence_ = sequence;
  sequence_exhausted_ = false;
}

ktls::Result<ktls::RecordKeys> ConnectionState::into_record_keys(ConnectionState state) {
  if (auto checked = state.usable(); !checked) return ktls::fail(std::move(checked).error());
  const auto cipher = state.suite_->bulk_cipher->kernel;
  if (!cipher) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "the kernel has no such cipher"));
  }
  if (state.version_ < ProtocolVersion::kTls12) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "the kernel does TLS 1.2 and 1.3 only"));
  }
  return ktls::RecordKeys{
      .version = kernel_version(state.version_),
      .cipher = *cipher,
      .key = ktls::RecordKey(state.keys_.key.bytes()),
      .iv = ktls::RecordIv(state.keys_.iv.bytes()),
      .explicit_nonce = state.protection_->explicit_nonce(state.sequence_),
      .sequence = state.sequence_,
  };
}

}  // namespace tls
