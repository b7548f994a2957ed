// The toy AEAD and its record framing (RFC 5246 section 6.2.3.3, RFC 8446 section 5.2).
#include "tests/support/fake_kernel_record.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "ktls/base/endian.h"
#include "ktls/core/trial_records.h"

namespace ktls {
namespace {

constexpr std::size_t kStructureHeaderSize = 4;
constexpr std::size_t kSequenceSize = 8;
constexpr std::size_t kTagSize = 16;
constexpr std::uint16_t kTls13 = 0x0304;

constexpr std::array<FakeCipher, 8> kCiphers{{
    {51, 8, 16, 4, true},   // AES-128-GCM
    {52, 8, 32, 4, true},   // AES-256-GCM
    {53, 8, 16, 4, true},   // AES-128-CCM
    {54, 12, 32, 0, true},  // ChaCha20-Poly1305
    {55, 8, 16, 4, true},   // SM4-GCM
    {56, 8, 16, 4, true},   // SM4-CCM
    {57, 8, 16, 4, false},  // ARIA-128-GCM
    {58, 8, 32, 4, false},  // ARIA-256-GCM
}};

// The finaliser of splitmix64: spreads every input bit over the word.
std::uint64_t mix(std::uint64_t word) {
  word += 0x9e3779b97f4a7c15;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

std::uint64_t absorb(std::uint64_t state, std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) state = mix(state ^ byte);
  return mix(state ^ bytes.size());
}

void append(std::vector<std::uint8_t>& to, std::span<const std::uint8_t> from) {
  to.insert(to.end(), from.begin(), from.end());
}

template <typename Word>
void append_word(std::vector<std::uint8_t>& to, Word value) {
  std::array<std::uint8_t, sizeof(Word)> bytes{};
  store_big_endian(bytes.data(), value);
  append(to, bytes);
}

// The records of probe(), under its keys: a structure of AES-128-GCM with TLS 1.3 in which all key
// material is one byte, and number 0 or 1.
std::optional<FakeRecord> open_known(std::span<const std::uint8_t> structure,
                                     std::span<const std::uint8_t> record) {
  std::vector<std::uint8_t> expected{4, 3, 51, 0};
  expected.resize(structure.size() - kSequenceSize, kTrialKeyByte);
  append_word(expected, std::uint64_t{0});
  const auto text_of = [](std::string_view text) {
    return std::vector<std::uint8_t>(text.begin(), text.end());
  };
  if (std::ranges::equal(structure, expected) && std::ranges::equal(record, kTrialPaddedRecord)) {
    return FakeRecord{23, text_of(kTrialPaddedText), kTrialPadding};
  }
  expected.back() = 1;
  if (std::ranges::equal(structure, expected) && std::ranges::equal(record, kTrialNextRecord)) {
    return FakeRecord{23, text_of(kTrialNextText)};
  }
  return std::nullopt;
}

}  // namespace

std::size_t FakeCipher::structure_size() const {
  return kStructureHeaderSize + iv_size + key_size + salt_size + kSequenceSize;
}

const FakeCipher* find_fake_cipher(std::uint16_t number) {
  const auto* row = std::ranges::find(kCiphers, number, &FakeCipher::number);
  return row == kCiphers.end() ? nullptr : row;
}

FakeKeys::FakeKeys(const FakeCipher& cipher, std::span<const std::uint8_t> structure)
    : cipher_(&cipher), structure_(structure.begin(), structure.end()) {}

std::uint16_t FakeKeys::version() const {
  std::uint16_t version = 0;
  std::memcpy(&version, structure_.data(), sizeof version);
  return version;
}

std::uint64_t FakeKeys::sequence() const {
  return load_big_endian<std::uint64_t>(structure_.data() + structure_.size() - kSequenceSize);
}

bool FakeKeys::is_tls13() const {
  return version() == kTls13;
}

bool FakeKeys::nonce_is_explicit() const {
  return !is_tls13() && cipher_->salt_size != 0;
}

std::size_t FakeKeys::overhead() const {
  return kTagSize + (nonce_is_explicit() ? cipher_->iv_size : 0);
}

std::span<const std::uint8_t> FakeKeys::iv() const {
  return std::span(structure_).subspan(kStructureHeaderSize, cipher_->iv_size);
}

std::uint64_t FakeKeys::digest(std::uint64_t seed, std::span<const std::uint8_t> nonce,
                               std::span<const std::uint8_t> bytes) const {
  // Key and salt, which lie side by side; the iv is in the nonce.
  const auto secret =
      std::span(structure_)
          .subspan(kStructureHeaderSize + cipher_->iv_size, cipher_->key_size + cipher_->salt_size);
  return absorb(absorb(absorb(mix(seed), secret), nonce), bytes);
}

void FakeKeys::mask(std::span<const std::uint8_t> nonce, std::span<std::uint8_t> bytes) const {
  const std::uint64_t seed = digest(0, nonce, {});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ mix(seed + i));
  }
}

void FakeKeys::advance() {
  std::uint8_t* sequence_at = structure_.data() + structure_.size() - kSequenceSize;
  store_big_endian(sequence_at, sequence() + 1);
  if (nonce_is_explicit()) {
    std::uint8_t* nonce_at = structure_.data() + kStructureHeaderSize;
    store_big_endian(nonce_at, load_big_endian<std::uint64_t>(nonce_at) + 1);
  }
}

std::vector<std::uint8_t> FakeKeys::seal(std::uint8_t type, std::span<const std::uint8_t> payload,
                                         std::size_t padding) {
  std::vector<std::uint8_t> body(payload.begin(), payload.end());
  if (is_tls13()) {
    body.push_back(type);
    body.resize(body.size() + padding);
  }
  const std::vector<std::uint8_t> nonce_iv(iv().begin(), iv().end());
  std::vector<std::uint8_t> record{is_tls13() ? std::uint8_t{23} : type, 3, 3};
  append_word(record, static_cast<std::uint16_t>(body.size() + overhead()));

  std::vector<std::uint8_t> authentic(record);
  append_word(authentic, sequence());
  append(authentic, body);
  std::vector<std::uint8_t> nonce(nonce_iv);
  append_word(nonce, sequence());

  if (nonce_is_explicit()) append(record, nonce_iv);
  std::vector<std::uint8_t> sealed(body);
  mask(nonce, sealed);
  append(record, sealed);
  append_word(record, digest(1, nonce, authentic));
  append_word(record, digest(2, nonce, authentic));
  advance();
  return record;
}

std::optional<FakeRecord> FakeKeys::open(std::span<const std::uint8_t> record) {
  auto opened = open_toy(record);
  if (!opened) opened = open_known(structure_, record);
  if (opened) advance();
  return opened;
}

std::optional<FakeRecord> FakeKeys::open_toy(std::span<const std::uint8_t> record) const {
  const auto header = record.first(kFakeHeaderSize);
  auto body_and_tag = record.subspan(kFakeHeaderSize);
  std::vector<std::uint8_t> nonce(iv().begin(), iv().end());
  if (nonce_is_explicit()) {
    nonce.assign(body_and_tag.begin(), body_and_tag.begin() + static_cast<int>(cipher_->iv_size));
    body_and_tag = body_and_tag.subspan(cipher_->iv_size);
  }
  append_word(nonce, sequence());
  const auto sealed = body_and_tag.first(body_and_tag.size() - kTagSize);
  std::vector<std::uint8_t> body(sealed.begin(), sealed.end());
  mask(nonce, body);

  std::vector<std::uint8_t> authentic(header.begin(), header.end());
  append_word(authentic, sequence());
  append(authentic, body);
  std::vector<std::uint8_t> tag;
  append_word(tag, digest(1, nonce, authentic));
  append_word(tag, digest(2, nonce, authentic));
  if (!std::ranges::equal(tag, body_and_tag.last(kTagSize))) return std::nullopt;

  FakeRecord opened{header[0], std::move(body)};
  if (is_tls13()) {
    // RFC 8446 section 5.4: zeros are padding, the last other byte is the type.
    while (!opened.payload.empty() && opened.payload.back() == 0) {
      opened.payload.pop_back();
      ++opened.padding;
    }
    if (opened.payload.empty()) return std::nullopt;
    opened.type = opened.payload.back();
    opened.payload.pop_back();
  }
  return opened;
}

std::size_t FakeKeys::prepend_size() const {
  return kFakeHeaderSize + (nonce_is_explicit() ? cipher_->iv_size : 0);
}

int FakeKeys::check_header(std::span<const std::uint8_t> header) const {
  const std::size_t length = load_big_endian<std::uint16_t>(header.data() + 3);
  const std::size_t tail_size = is_tls13() ? 1 : 0;
  if (length > kFakePlaintextMax + overhead() + tail_size) return EMSGSIZE;
  if (length < overhead()) return EBADMSG;
  if (header[1] != 3 || header[2] != 3) return EINVAL;
  return 0;
}

}  // namespace ktls
