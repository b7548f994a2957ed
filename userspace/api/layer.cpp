// Pending states from what was set, and the bytes that wait to be opened.
#include "userspace/api/layer.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <string.h>  // explicit_bzero

#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/random.h"

namespace api {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::CipherSuite;
using tls::ConnectionState;
using tls::KeyBlock;
using tls::ProtectionKind;
using tls::ProtocolVersion;

constexpr std::size_t kSsl2KeyArgSize = 8;

tl::unexpected<Error> not_usable(std::string_view detail) {
  return ktls::fail(Error::of(ErrorCode::kInvalidArgument, detail));
}

tl::unexpected<Error> out_of_range(std::string_view detail) {
  return ktls::fail(Error::of(ErrorCode::kLimitReached, detail));
}

// SSLv3's MAC is defined for MD5 and SHA-1 alone.
bool has_mac_in(ProtocolVersion version, const CipherSuite& suite) {
  return version != ProtocolVersion::kSsl3 || !suite.mac ||
         *suite.mac == tls::HashAlgorithm::kMd5 || *suite.mac == tls::HashAlgorithm::kSha1;
}

constexpr auto kAnySize = tls::SecretSize::kAny;

// A key stream, or a chain of blocks that starts from the key block, goes on from the record
// before: a number alone does not say where.
bool needs_all_before(ProtocolVersion version, const CipherSuite& suite) {
  return suite.bulk_cipher->kind == ProtectionKind::kStream ||
         (suite.bulk_cipher->kind == ProtectionKind::kCbc && version < ProtocolVersion::kTls11);
}

bool is_secret_size(std::size_t size) {
  return size != 0 && size <= tls::TrafficSecret::kCapacity;
}

bool is_for_tls13(const CipherSuite& suite) {
  return suite.bulk_cipher->kind == ProtectionKind::kAead ||
         suite.bulk_cipher->kind == ProtectionKind::kIntegrity;
}

}  // namespace

Layer::Layer() : records_(tls::kOpenRules) {
  show_version();
}

Layer::~Layer() {
  if (!buffer_.empty()) ::explicit_bzero(buffer_.data(), buffer_.size());
}

void Layer::show_version() {
  records_.set_version(wire_version(), is_tls13());
  records_.set_expansion_max(tls13_records_ ? tls::kExpansionMax13 : tls::kExpansionMax);
}

void Layer::set_version(std::uint16_t version) {
  version_ = version;
  show_version();
}

void Layer::set_tls13_records(bool on) {
  tls13_records_ = on;
  show_version();
}

void Layer::set_encrypt_then_mac(bool on) {
  pending_write_.encrypt_then_mac = on;
  pending_read_.encrypt_then_mac = on;
}

void Layer::set_receive_limit(std::size_t limit) {
  receive_limit_ = limit;
  records_.set_receive_limit(limit);
}

void Layer::set_send_limit(std::size_t limit) {
  send_limit_ = limit;
  records_.set_fragment_size_max(limit);
}

void Layer::set_early_data_max(std::size_t size) {
  early_data_max_ = size;
  records_.set_early_data_max(size);
}

void Layer::set_handshake_finished(bool finished) {
  handshake_finished_ = finished;
  records_.set_handshake_finished(finished);
}

Result<void> Layer::fill_random(std::span<std::uint8_t> out) const {
  if (!random_) return tls::fill_random(out);
  if (!random_(out)) return ktls::fail(Error::of(ErrorCode::kCrypto, "the random source failed"));
  return {};
}

// --- keys ------------------------------------------------------------------------------------

void Layer::set_pending(const CipherSuite& suite, ProtocolVersion version, KeyBlock keys) {
  const bool keeps_etm = version != ProtocolVersion::kTls13 && version != ProtocolVersion::kSsl2;
  for (const bool write : {true, false}) {
    PendingState& state = pending(write);
    state.suite = &suite;
    state.version = version;
    state.keys = std::move(write == is_client ? keys.client_write : keys.server_write);
    state.encrypt_then_mac = keeps_etm && state.encrypt_then_mac;
    state.sequence.reset();
    state.explicit_nonce.reset();
  }
}

Result<void> Layer::derive_pending_states(std::uint16_t id, Bytes master_secret,
                                          Bytes client_random, Bytes server_random) {
  const CipherSuite* const suite = tls::find_cipher_suite(id);
  const auto version = static_cast<ProtocolVersion>(version_);
  if (version < ProtocolVersion::kSsl3 || version > ProtocolVersion::kTls12) {
    return not_usable("pending states: the version is not SSLv3 to TLS 1.2");
  }
  if (suite == nullptr || suite->bulk_cipher->kind == ProtectionKind::kIntegrity ||
      !has_mac_in(version, *suite)) {
    return not_usable("pending states: no such suite, or none that this version can use");
  }
  if (master_secret.size() != tls::kMasterSecretSize)
    return out_of_range("the master secret's size");
  if (auto available = tls::check_available(*suite); !available) return available;
  KTLS_TRY(KeyBlock keys, derive_key_block(version, *suite, tls::MasterSecret(master_secret),
                                           client_random, server_random));
  // For AEADs as well, which do not use it: known answers say what is drawn.
  const std::size_t iv_size = suite->bulk_cipher->iv_size;
  if (version >= ProtocolVersion::kTls11 && iv_size != 0) {
    auto block = fixed_iv_block_;
    if (auto filled = fill_random(std::span(block).first(iv_size)); !filled) return filled;
    fixed_iv_block_ = block;
    fixed_iv_block_size_ = iv_size;
    if (records_.write_state()) records_.write_state()->set_fixed_iv_block(fixed_iv_block());
  }
  set_pending(*suite, version, std::move(keys));
  return {};
}

Result<std::vector<std::uint8_t>> Layer::derive_ssl2_pending_states(const CipherSuite& suite,
                                                                    Bytes master_key,
                                                                    Bytes challenge,
                                                                    Bytes connection_id,
                                                                    std::optional<Bytes> key_arg) {
  std::vector<std::uint8_t> iv;
  if (suite.bulk_cipher->kind == ProtectionKind::kCbc) {
    if (key_arg && key_arg->size() != kSsl2KeyArgSize) return out_of_range("KEY-ARG's size");
    iv.resize(kSsl2KeyArgSize);
    if (key_arg) {
      std::ranges::copy(*key_arg, iv.begin());
    } else if (auto filled = fill_random(iv); !filled) {
      return ktls::fail(std::move(filled).error());
    }
  }
  if (master_key.empty() || master_key.size() > tls::MasterSecret::kCapacity) {
    return out_of_range("the master key's size");
  }
  if (auto available = tls::check_available(suite); !available) {
    return ktls::fail(std::move(available).error());
  }
  KTLS_TRY(KeyBlock keys,
           derive_ssl2_keys(suite, tls::MasterSecret(master_key), challenge, connection_id));
  keys.client_write.iv = tls::WriteIv(iv);
  keys.server_write.iv = tls::WriteIv(iv);
  set_pending(suite, ProtocolVersion::kSsl2, std::move(keys));
  return iv;
}

Result<void> Layer::derive_tls13_pending_states(std::uint16_t id, Bytes client_secret,
                                                Bytes server_secret) {
  const CipherSuite* const suite = tls::find_cipher_suite(id);
  if (suite == nullptr || !is_for_tls13(*suite)) {
    return not_usable("TLS 1.3 states: no such suite, or none that TLS 1.3 can use");
  }
  if (!is_secret_size(client_secret.size()) || !is_secret_size(server_secret.size())) {
    return out_of_range("a traffic secret's size");
  }
  if (auto available = tls::check_available(*suite); !available) return available;
  KeyBlock keys;
  KTLS_TRY(keys.client_write,
           derive_traffic_keys(*suite, tls::TrafficSecret(client_secret), kAnySize));
  KTLS_TRY(keys.server_write,
           derive_traffic_keys(*suite, tls::TrafficSecret(server_secret), kAnySize));
  set_pending(*suite, ProtocolVersion::kTls13, std::move(keys));
  return {};
}

Result<tls::TrafficSecret> Layer::key_update(std::uint16_t id, bool received, Bytes secret) {
  const CipherSuite* const suite = tls::find_cipher_suite(id);
  if (suite == nullptr || !is_for_tls13(*suite)) {
    return not_usable("key update: no such suite, or none that TLS 1.3 can use");
  }
  if (secret.size() != tls::size_of(suite->prf_hash)) {
    return out_of_range("a traffic secret's size");
  }
  KTLS_TRY(tls::TrafficSecret next, derive_next_traffic_secret(*suite, tls::TrafficSecret(secret)));
  KTLS_TRY(tls::TrafficKeys keys, derive_traffic_keys(*suite, next));
  KTLS_TRY(ConnectionState state,
           ConnectionState::create(ProtocolVersion::kTls13, *suite, std::move(keys)));
  if (received) {
    records_.set_pending_read(std::move(state));
    if (auto changed = records_.change_read_state(); !changed) {
      return ktls::fail(std::move(changed).error());
    }
  } else {
    records_.set_pending_write(std::move(state));
    if (auto changed = records_.change_write_state(); !changed) {
      return ktls::fail(std::move(changed).error());
    }
  }
  return next;
}

// Nothing for a pending state that was not computed: the record layer says whether that may be.
Result<std::optional<ConnectionState>> Layer::make_state(PendingState& pending) {
  if (pending.suite == nullptr) return std::optional<ConnectionState>();
  // The version that counts is the one in force now, not when the keys were computed.
  const auto now = static_cast<ProtocolVersion>(version_);
  const bool is_before_13 =
      pending.version >= ProtocolVersion::kSsl3 && pending.version <= ProtocolVersion::kTls12;
  if (is_before_13 && now >= ProtocolVersion::kSsl3 && now <= ProtocolVersion::kTls12) {
    pending.version = now;
  }
  const std::uint64_t sequence = pending.sequence.value_or(0);
  if (sequence != 0 && !unsafe_state_access && needs_all_before(pending.version, *pending.suite)) {
    return not_usable("a state of this cipher cannot start in the middle");
  }
  KTLS_TRY(ConnectionState state,
           ConnectionState::create(pending.version, *pending.suite,
                                   {pending.keys.key.duplicate(), pending.keys.iv.duplicate(),
                                    pending.keys.mac_key.duplicate()},
                                   {.sequence = sequence,
                                    .explicit_nonce = pending.explicit_nonce.value_or(sequence),
                                    .encrypt_then_mac = pending.encrypt_then_mac,
                                    .fixed_iv_block = fixed_iv_block()}));
  return std::optional<ConnectionState>(std::move(state));
}

Result<void> Layer::change_write_state() {
  KTLS_TRY(std::optional<ConnectionState> state, make_state(pending_write_));
  if (state) records_.set_pending_write(*std::move(state));
  if (auto changed = records_.change_write_state(); !changed) return changed;
  writes_encrypt_then_mac_ = pending_write_.encrypt_then_mac;
  if (pending_write_.sequence) {
    records_.write_state()->set_sequence_unsafely(*pending_write_.sequence);
  }
  pending_write_ = {};
  return {};
}

Result<void> Layer::change_read_state() {
  KTLS_TRY(std::optional<ConnectionState> state, make_state(pending_read_));
  if (state) records_.set_pending_read(*std::move(state));
  if (auto changed = records_.change_read_state(); !changed) return changed;
  if (pending_read_.sequence) {
    records_.read_state()->set_sequence_unsafely(*pending_read_.sequence);
  }
  pending_read_ = {};
  return {};
}

Result<ConnectionState> Layer::release(bool write) {
  const auto& current = write ? records_.write_state() : records_.read_state();
  if (current && !current->is_null() && current->sequence() != 0 &&
      needs_all_before(current->version(), current->suite())) {
    return not_usable("nobody could go on with a state of this cipher");
  }
  return write ? records_.release_write() : records_.release_read();
}

Result<void> Layer::shutdown() {
  if (!buffer_.empty()) ::explicit_bzero(buffer_.data(), buffer_.size());
  buffer_.clear();
  records_.feed({});
  records_.reset_states();
  pending_write_ = {};
  pending_read_ = {};
  writes_encrypt_then_mac_ = false;
  has_ended_ = false;
  return {};
}

Result<void> Layer::set_fixed_iv_block(Bytes block) {
  if (block.size() > fixed_iv_block_.size()) return out_of_range("the fixed IV block's size");
  std::ranges::copy(block, fixed_iv_block_.begin());
  fixed_iv_block_size_ = block.size();
  if (records_.write_state()) records_.write_state()->set_fixed_iv_block(fixed_iv_block());
  return {};
}

// --- reading ---------------------------------------------------------------------------------

void Layer::feed(Bytes bytes) {
  const std::size_t unread = records_.unread().size();
  const std::size_t done = buffer_.size() - unread;
  // Plaintext: wiped before a larger buffer takes the place of this one, which is then freed.
  if (done != 0) ::explicit_bzero(buffer_.data(), done);
  buffer_.reserve(buffer_.size() + bytes.size());  // may throw, and what is unread is still there
  records_.feed(std::span(buffer_).subspan(done));
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(done));
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  records_.feed(buffer_);
}

Result<tls::NextRecord> Layer::next() {
  auto next = records_.next_record();
  if (!next) return next;
  if (std::holds_alternative<tls::NeedBytes>(*next) && has_ended_) {
    return ktls::fail(Error::of(ErrorCode::kEndOfStream, "the transport ended"));
  }
  return next;
}

}  // namespace api
