// The acts of a fuzzed session: what is set, sealed, damaged and sent.
#include "tests/fuzz/record_session.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "tests/fuzz/require.h"

namespace tls::fuzz {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::vector<std::uint8_t>;

// An input of a few bytes may not take seconds: acts, and records that one of them makes.
constexpr std::size_t kActsMax = 200;
constexpr std::size_t kFragmentsMax = 40;
constexpr std::size_t kPaddingMax = 300;

// Bytes that look like nothing else here (xorshift).
Bytes noise(std::size_t size, std::uint64_t seed) {
  Bytes bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
  for (std::uint8_t& byte : bytes) {
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    byte = static_cast<std::uint8_t>(state);
  }
  return bytes;
}

ktls::Result<ConnectionState> make_state(const Epoch& epoch, std::uint64_t number) {
  const BulkCipher& cipher = *epoch.suite->bulk_cipher;
  const bool is_13 = epoch.version == ProtocolVersion::kTls13;
  const bool has_mac = epoch.suite->mac && epoch.version != ProtocolVersion::kSsl2;
  TrafficKeys keys;
  keys.key = WriteKey(noise(cipher.key_size, 3 * number));
  keys.iv = WriteIv(noise(is_13 ? iv_size_13(cipher) : cipher.iv_size, 3 * number + 1));
  keys.mac_key = MacKey(noise(has_mac ? size_of(*epoch.suite->mac) : 0, 3 * number + 2));
  const Bytes block = noise(cipher.block_size, number);
  return ConnectionState::create(epoch.version, *epoch.suite, std::move(keys),
                                 {.sequence = epoch.sequence,
                                  .explicit_nonce = number,
                                  .encrypt_then_mac = epoch.encrypt_then_mac,
                                  .fixed_iv_block = block});
}

// BEAST's remedy, for application data.
bool splits_first_byte(const ConnectionState& state) {
  return state.suite().bulk_cipher->kind == ProtectionKind::kCbc &&
         state.version() <= ProtocolVersion::kTls10;
}

// Content of one record where SSLv2 pads: its header says 14 bits, of which the MAC takes 16 bytes
// and the padding a block.
constexpr std::size_t kSsl2PaddedContentMax = kSsl2LongBodyMax - 16 - kSsl2BlockSize;

// RFC 8446 appendix D.4: a change_cipher_spec is there for middleboxes, which have no keys.
bool travels_in_clear(const ConnectionState& state, ContentType type) {
  return state.version() == ProtocolVersion::kTls13 && type == ContentType::kChangeCipherSpec;
}

// `is_early`: there is nothing to release, or not yet. Else no number is left.
void check_release_error(const Error& error, bool is_early) {
  require(error.code == (is_early ? ErrorCode::kProtocolViolation : ErrorCode::kLimitReached),
          "and says why not", error.detail);
}

template <class T>
void require_refused(const ktls::Result<T>& result) {
  require(!result && result.error().code == ErrorCode::kProtocolViolation,
          "a released direction is refused");
}

}  // namespace

enum class RecordSession::Damage : std::uint8_t {
  kNone,
  kBits,
  kByte,
  kTruncated,
  kDuplicated,
  kDropped,
  kExtended,
  kHeader,
};

RecordSession::RecordSession(const Ground& ground, Input& input) : ground_(ground), input_(input) {
  restart();
}

void RecordSession::run() {
  using Act = void (RecordSession::*)();
  static constexpr std::array<Act, 16> kActs = {
      &RecordSession::send,           &RecordSession::change_states,
      &RecordSession::send,           &RecordSession::feed_raw,
      &RecordSession::send,           &RecordSession::feed_crafted,
      &RecordSession::send,           &RecordSession::set_limits,
      &RecordSession::set_early_data, &RecordSession::set_versions,
      &RecordSession::set_writing,    &RecordSession::release_read,
      &RecordSession::release_write,  &RecordSession::close,
      &RecordSession::send,           &RecordSession::change_without_pending,
  };
  for (std::size_t act = 0; act < kActsMax && !input_.empty(); ++act) {
    (this->*kActs[input_.below(kActs.size())])();
    if (error_) {
      check_error(*error_);
      restart();
    }
  }
}

void RecordSession::restart() {
  reader_ = RecordLayer(ground_.rules);
  peer_ = RecordLayer(ground_.rules);
  ++epoch_;
  sent_.clear();
  wire_.clear();
  queue_.clear();
  opened_.clear();
  error_.reset();
  is_whole_ = true;
  is_13_in_clear_ = false;
  handshake_finished_ = false;
  has_opened_protected_ = false;
  receive_limit_ = kPlaintextSizeMax;
  expansion_max_ = kExpansionMax;
  fragment_size_max_ = kPlaintextSizeMax;
  pads_ = false;
  wire_version_ = ground_.wire_versions.front();
  reader_.set_version(wire_version_);
  peer_.set_version(wire_version_);
}

bool RecordSession::is_ssl2() const {
  const auto& state = reader_.read_state();
  return state && !state->is_null() && state->version() == ProtocolVersion::kSsl2;
}

// The next record of the peer is the next one of the reader.
bool RecordSession::in_step() const {
  return is_whole_ && reader_.unread().empty() && queue_.empty() &&
         (reader_.read_state()->is_null() ||
          reader_.read_state()->sequence() == peer_.write_state()->sequence());
}

// --- acts: settings ----------------------------------------------------------------------------

void RecordSession::change_states() {
  const Epoch epoch = ground_.draw_epoch(input_);
  auto reading = make_state(epoch, epoch_ + 1);
  auto writing = make_state(epoch, epoch_ + 1);
  require(reading.has_value() == writing.has_value(), "a state is made again as before");
  if (!reading) {
    const ErrorCode code = reading.error().code;
    require(code == ErrorCode::kUnsupported || code == ErrorCode::kInvalidArgument,
            "a state is made, or said to be impossible", reading.error().detail);
    return;
  }
  ++epoch_;
  is_whole_ = reader_.unread().empty();
  reader_.set_pending_read(*std::move(reading));
  peer_.set_pending_write(*std::move(writing));
  require(reader_.change_read_state().has_value(), "a pending state becomes current");
  require(peer_.change_write_state().has_value(), "a pending state becomes current");
}

void RecordSession::change_without_pending() {
  require_refused(reader_.change_read_state());
  require_refused(peer_.change_write_state());
}

void RecordSession::set_limits() {
  receive_limit_ = input_.flag() ? kPlaintextSizeMax : input_.below(kPlaintextSizeMax + 1);
  expansion_max_ = input_.flag() ? kExpansionMax : kExpansionMax13;
  is_exact_ = input_.flag();
  reader_.set_receive_limit(receive_limit_);
  reader_.set_expansion_max(expansion_max_);
}

void RecordSession::set_early_data() {
  reader_.set_early_data(input_.flag());
  reader_.set_early_data_max(input_.below(0x10000));
  require(reader_.early_data_skipped() == 0, "early data is counted anew");
}

void RecordSession::set_versions() {
  wire_version_ = input_.one_of(ground_.wire_versions);
  is_13_in_clear_ = input_.flag();
  handshake_finished_ = input_.flag();
  reader_.set_version(wire_version_, is_13_in_clear_);
  peer_.set_version(wire_version_, is_13_in_clear_);
  reader_.set_handshake_finished(handshake_finished_);
}

void RecordSession::set_writing() {
  fragment_size_max_ = input_.flag() ? kPlaintextSizeMax : 1 + input_.below(kPlaintextSizeMax);
  peer_.set_fragment_size_max(fragment_size_max_);
  pads_ = input_.flag();
  const std::size_t padding = input_.below(kPaddingMax);
  peer_.set_padding_policy(!pads_ ? PaddingPolicy()
                                  : [padding](std::size_t, ContentType, std::size_t padding_max) {
                                      require(padding_max <= kPlaintextSizeMax, "padding fits");
                                      return padding;
                                    });
  const Bytes block = noise(input_.flag() ? 16 : 8, input_.byte());
  if (peer_.write_state()) peer_.write_state()->set_fixed_iv_block(block);
}

// --- acts: ends --------------------------------------------------------------------------------

void RecordSession::release_read() {
  const bool is_null = reader_.read_state()->is_null();
  const bool is_buffered = !reader_.unread().empty();
  const bool is_spent = reader_.read_state()->records_left() == 0;
  const std::uint64_t sequence = reader_.read_state()->sequence();
  auto released = reader_.release_read();
  require(released.has_value() == (!is_null && !is_buffered && !is_spent),
          "release_read() gives what it may");
  if (!released) {
    check_release_error(released.error(), is_null || is_buffered);
    return;
  }
  require(released->sequence() == sequence, "a released state goes on where it was");
  const auto kernel = released->suite().bulk_cipher->kernel;
  const auto keys = ConnectionState::into_record_keys(*std::move(released));
  require(!keys || (kernel && keys->sequence == sequence), "keys of the state that was released");
  require_refused(reader_.next_record());
  require_refused(reader_.change_read_state());
  require_refused(reader_.release_read());
  restart();
}

void RecordSession::release_write() {
  const bool is_null = peer_.write_state()->is_null();
  const bool is_spent = peer_.write_state()->records_left() == 0;
  auto released = peer_.release_write();
  require(released.has_value() == (!is_null && !is_spent), "release_write() gives what it may");
  if (!released) {
    check_release_error(released.error(), is_null);
    return;
  }
  Bytes wire(64);
  require_refused(peer_.seal(ContentType::kApplicationData, {}, wire));
  require(peer_.sealed_size(1) == 0, "a released direction has no size");
  restart();
}

void RecordSession::close() {
  reader_.close_read();
  peer_.close_write();
  require_refused(reader_.next_record());
  Bytes wire(64);
  require_refused(peer_.seal(ContentType::kApplicationData, {}, wire));
  require(!reader_.read_state() && !peer_.write_state(), "a closed direction has no state");
  restart();
}

// --- acts: what a peer without keys can do -------------------------------------------------------

void RecordSession::feed_raw() {
  const auto bytes = input_.bytes(1 + input_.below(0x100));
  queue_.assign(bytes.begin(), bytes.end());
  is_whole_ = is_whole_ && reader_.read_state()->is_null();
  pump();
}

// A header of any kind, and a body that goes with it, or nearly so.
void RecordSession::feed_crafted() {
  const std::size_t form = input_.below(3);
  const auto first = input_.byte();
  const std::size_t size = input_.flag() ? input_.below(0x10000) : input_.below(0x40);
  if (form == 0) {
    const auto version = static_cast<std::uint16_t>(
        input_.flag() ? input_.one_of(ground_.wire_versions) : input_.number(2));
    queue_.resize(kRecordHeaderSize);
    encode_record_header(
        {.type = static_cast<ContentType>(first), .version = version, .body_size = size},
        std::span(queue_).first<kRecordHeaderSize>());
  } else {
    std::array<std::uint8_t, 3> header{};
    const auto encoded = encode_ssl2_header({.type = ContentType::kHandshake,
                                             .version = 0,
                                             .body_size = size % (kSsl2LongBodyMax + 1),
                                             .is_ssl2 = true,
                                             .security_escape = form == 1 && (first & 1U) != 0,
                                             .padding = form == 1 ? first : std::uint8_t{0}},
                                            header);
    require(encoded.has_value(), "a header that can be encoded");
    queue_.assign(header.begin(), std::next(header.begin(), static_cast<std::ptrdiff_t>(*encoded)));
  }
  const Bytes body = noise(size, first);
  queue_.insert(queue_.end(), body.begin(), body.end());
  is_whole_ = is_whole_ && reader_.read_state()->is_null();
  pump();
}

// --- acts: sealed records ------------------------------------------------------------------------

ContentType RecordSession::draw_type() {
  const std::uint8_t byte = input_.byte();
  if ((byte & 0x80U) == 0) return static_cast<ContentType>(20 + byte % 4);
  return static_cast<ContentType>(input_.byte());
}

Bytes RecordSession::draw_content() {
  const std::size_t kind = input_.below(4);
  std::size_t size = kind == 0   ? input_.below(0x40)
                     : kind == 1 ? input_.below(0x400)
                     : kind == 2 ? kPlaintextSizeMax - 8 + input_.below(16)
                                 : 1;
  size = std::min(size, kFragmentsMax * fragment_size_max_);
  return noise(size, input_.byte());
}

std::vector<RecordSession::Content> RecordSession::fragments_of(const Content& content) const {
  const ConnectionState& state = *peer_.write_state();
  std::vector<Content> fragments;
  std::span<const std::uint8_t> rest = content.bytes;
  const bool splits =
      content.type == ContentType::kApplicationData && rest.size() > 1 && splits_first_byte(state);
  const bool is_padded_ssl2 = state.version() == ProtocolVersion::kSsl2 &&
                              state.suite().bulk_cipher->kind == ProtectionKind::kCbc;
  const std::size_t fragment_max =
      is_padded_ssl2 ? std::min(fragment_size_max_, kSsl2PaddedContentMax) : fragment_size_max_;
  std::size_t size_max = splits                                  ? 1
                         : travels_in_clear(state, content.type) ? rest.size()
                                                                 : fragment_max;
  do {
    const auto part = rest.first(std::min(rest.size(), size_max));
    fragments.push_back({content.type, Bytes(part.begin(), part.end())});
    rest = rest.subspan(part.size());
    size_max = fragment_max;
  } while (!rest.empty());
  return fragments;
}

void RecordSession::remember(std::uint64_t sequence, const std::vector<Content>& contents) {
  for (const Content& content : contents) sent_[{epoch_, sequence++}] = content;
}

std::optional<RecordSession::Sealed> RecordSession::seal() {
  Sealed sealed;
  const Content content{draw_type(), draw_content()};
  sealed.is_single = input_.flag();
  const ConnectionState& state = *peer_.write_state();
  const std::uint64_t sequence = state.sequence();
  const bool is_clear = state.is_null() || travels_in_clear(state, content.type);
  ktls::Result<std::size_t> size = 0;
  if (sealed.is_single) {
    sealed.padding = input_.flag() ? input_.below(kPaddingMax) : 0;
    const Outgoing outgoing{
        .type = content.type, .content = content.bytes, .padding = sealed.padding};
    sealed.wire.resize(peer_.sealed_record_size(outgoing));
    size = peer_.seal_record(outgoing, sealed.wire);
    require(!size || *size == sealed.wire.size(), "sealed_record_size() is exact");
    sealed.contents = {content};
  } else {
    const std::size_t size_max = peer_.sealed_size(content.bytes.size());
    sealed.wire.resize(size_max);
    sealed.contents = fragments_of(content);
    size = peer_.seal(content.type, content.bytes, sealed.wire);
    require(!size || pads_ || splits_first_byte(state) || travels_in_clear(state, content.type) ||
                *size == size_max,
            "sealed_size() is exact where nothing is padded or split");
    if (pads_) sealed.padding = kPaddingMax;
  }
  if (!size) {
    check_seal_error(size.error());
    return std::nullopt;
  }
  require(*size <= sealed.wire.size(), "seal() writes what sealed_size() says, at most");
  sealed.wire.resize(*size);
  if (!is_clear) remember(sequence, sealed.contents);
  return sealed;
}

// The record that is sealed to see whether anything can be is not sent: the reader misses it.
void RecordSession::check_seal_error(const Error& error) {
  require(error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kLimitReached,
          "seal() refuses what cannot be sealed", error.detail);
  is_whole_ = false;
  const std::array<std::uint8_t, 1> byte{};
  Bytes wire(peer_.sealed_size(1));
  const auto sealed = peer_.seal(ContentType::kApplicationData, byte, wire);
  require(sealed || sealed.error().code == ErrorCode::kLimitReached,
          "what was refused leaves the direction as it was",
          error.detail + "; then: " + (sealed ? std::string() : sealed.error().detail));
}

// Whether anything differs now.
bool RecordSession::damages(Bytes& wire) {
  // Five records in twelve stay whole.
  const auto damage = static_cast<Damage>(std::max<std::size_t>(input_.below(12), 4) - 4);
  const Bytes whole = wire;
  switch (damage) {
    case Damage::kNone:
      break;
    case Damage::kBits:
      for (std::size_t left = 1 + input_.below(3); left > 0; --left) {
        const std::size_t bit = input_.below(8 * wire.size());
        wire[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      }
      break;
    case Damage::kByte:  // near the end, where MAC and padding are
      wire[wire.size() - 1 - input_.below(std::min<std::size_t>(wire.size(), 0x100))] =
          input_.byte();
      break;
    case Damage::kTruncated:
      wire.resize(input_.below(wire.size()));
      break;
    case Damage::kDuplicated:
      wire.insert(wire.end(), whole.begin(), whole.end());
      break;
    case Damage::kDropped:
      wire.clear();
      break;
    case Damage::kExtended: {
      const auto more = input_.bytes(input_.below(0x20));
      wire.insert(wire.end(), more.begin(), more.end());
      break;
    }
    case Damage::kHeader:
      wire[input_.below(std::min(wire.size(), kRecordHeaderSize))] = input_.byte();
      break;
  }
  return wire != whole;
}

void RecordSession::send() {
  const bool was_in_step = in_step();
  const bool was_clear = reader_.read_state()->is_null();
  const bool was_empty = reader_.unread().empty();
  auto sealed = seal();
  if (!sealed) return;
  const bool is_damaged = damages(sealed->wire);
  const bool is_body = sealed->is_single && input_.flag();
  const bool must = must_arrive(*sealed);
  const bool is_clear =
      was_clear || travels_in_clear(*peer_.write_state(), sealed->contents.front().type);
  if (is_body) {
    opened_.clear();
    open_body_of(sealed->wire);
  } else {
    queue_ = sealed->wire;
    pump();
  }
  if (is_damaged) {
    is_whole_ = is_whole_ && was_clear;
    // Content that was sent in the clear is no secret, and stays where it was fed.
    if (!is_clear && was_empty) check_wiped(*sealed);
  } else if (was_in_step && must) {
    check_arrived(*sealed);
  } else if (!was_in_step && !was_clear) {
    is_whole_ = false;  // a stream cipher has gone on with it
  }
}

}  // namespace tls::fuzz
