// Sealing and opening of SSLv2's protected records.
#include "userspace/record/ssl2_protection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ktls/base/endian.h"
#include "userspace/record/bad_record_mac.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

constexpr std::size_t kMacSize = 16;

}  // namespace

ktls::Result<std::unique_ptr<Protection>> Ssl2Protection::create(const BulkCipher& cipher,
                                                                 const TrafficKeys& keys) {
  if (keys.iv.size() != cipher.iv_size) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "SSLv2: KEY-ARG's size"));
  }
  KTLS_TRY(Hash hash, Hash::create(HashAlgorithm::kMd5));
  std::optional<CbcCipher> block_cipher;
  std::optional<StreamCipher> stream_cipher;
  if (cipher.kind == ProtectionKind::kStream) {
    KTLS_TRY(stream_cipher, StreamCipher::create(cipher, keys.key.bytes()));
  } else {
    KTLS_TRY(block_cipher, CbcCipher::create(cipher, keys.key.bytes()));
  }
  return std::unique_ptr<Protection>(
      new Ssl2Protection(std::move(hash), keys.key.duplicate(), std::move(block_cipher),
                         std::move(stream_cipher), CbcChain(keys.iv.bytes())));
}

// MAC and content are padded to whole blocks; the MAC is two of them.
std::size_t Ssl2Protection::padding(std::size_t content_size) const {
  return block_cipher_ ? padding_size(content_size, kSsl2BlockSize) : 0;
}

std::size_t Ssl2Protection::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  return (block_cipher_ ? kSsl2LongHeaderSize : kSsl2ShortHeaderSize) + kMacSize + content_size +
         padding(content_size);
}

std::size_t Ssl2Protection::content_size_max() const {
  return block_cipher_ ? kSsl2LongBodyMax - kMacSize - kSsl2BlockSize : kPlaintextSizeMax;
}

ktls::Result<void> Ssl2Protection::mac(std::uint64_t sequence, std::span<const std::uint8_t> data,
                                       std::span<std::uint8_t> out) {
  std::array<std::uint8_t, sizeof(std::uint32_t)> number{};
  ktls::store_big_endian(number.data(), static_cast<std::uint32_t>(sequence));
  return hash_.digest({mac_secret_.bytes(), data, number}, out);
}

ktls::Result<void> Ssl2Protection::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                        std::span<std::uint8_t> wire) {
  const std::size_t padding_size = padding(outgoing.content.size());
  std::array<std::uint8_t, kSsl2LongHeaderSize> header{};
  KTLS_TRY(const std::size_t header_size,
           encode_ssl2_header({.type = outgoing.type,
                               .version = 0,
                               .body_size = kMacSize + outgoing.content.size() + padding_size,
                               .is_ssl2 = true,
                               .padding = static_cast<std::uint8_t>(padding_size)},
                              header));
  std::copy_n(header.begin(), header_size, wire.begin());
  const auto body = wire.subspan(header_size);
  const auto data = body.subspan(kMacSize);
  std::ranges::copy(outgoing.content, data.begin());
  fill_padding(data.last(padding_size));
  auto done = mac(sequence, data, body.first(kMacSize));
  if (!done) return done;
  if (stream_cipher_) return stream_cipher_->apply(body, body);
  done = block_cipher_->encrypt(chain_.value(), body, body);
  if (done) chain_.set(body);
  return done;
}

ktls::Result<Opened> Ssl2Protection::open(std::uint64_t sequence, const RecordHeader& header,
                                          std::span<std::uint8_t> body) {
  CbcChain next = chain_;
  if (stream_cipher_) {
    auto done = stream_cipher_->apply(body, body);
    if (!done) return ktls::fail(std::move(done).error());
  } else {
    if (body.size() % kSsl2BlockSize != 0) return not_whole_blocks();
    next.set(body);
    auto done = block_cipher_->decrypt(chain_.value(), body, body);
    if (!done) return ktls::fail(std::move(done).error());
  }
  if (body.size() < kMacSize) return bad_record_mac(body);
  const auto data = body.subspan(kMacSize);
  std::array<std::uint8_t, kMacSize> expected{};
  auto done = mac(sequence, data, expected);
  if (!done) return wiped(body, std::move(done).error());
  if (!same_bytes(expected, body.first(kMacSize))) return bad_record_mac(body);
  chain_ = next;
  const auto content = data.first(data.size() - std::min<std::size_t>(header.padding, data.size()));
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
