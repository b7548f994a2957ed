// MACs of records, also where the size of the content must not show.
#include "userspace/record/record_mac.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ktls/base/endian.h"
#include "userspace/record/constant_time.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t kTypeAt = sizeof(std::uint64_t);
constexpr std::uint8_t kPad1 = 0x36;
constexpr std::uint8_t kPad2 = 0x5c;

template <std::size_t N>
constexpr std::array<std::uint8_t, N> filled(std::uint8_t value) {
  std::array<std::uint8_t, N> bytes{};
  bytes.fill(value);
  return bytes;
}
// RFC 6101 section 5.2.3.1: "The character 0x36 repeated 48 times for MD5 or 40 times for SHA."
constexpr auto kInnerPad = filled<48>(kPad1);
constexpr auto kOuterPad = filled<48>(kPad2);
constexpr std::size_t kSha1PadSize = 40;

// seq_num, type, length: SSLv3's has no version.
using Ssl3Header = std::array<std::uint8_t, sizeof(std::uint64_t) + 3>;

Ssl3Header ssl3_header(std::uint64_t sequence, ContentType type, std::size_t content_size) {
  Ssl3Header header{};
  ktls::store_big_endian(header.data(), sequence);
  header[kTypeAt] = static_cast<std::uint8_t>(type);
  ktls::store_big_endian(&header[kTypeAt + 1], static_cast<std::uint16_t>(content_size));
  return header;
}

}  // namespace

ktls::Result<RecordMac> RecordMac::create(ProtocolVersion version, HashAlgorithm algorithm,
                                          const MacKey& key) {
  if (key.size() != size_of(algorithm)) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "RecordMac: key size"));
  }
  if (version != ProtocolVersion::kSsl3) {
    KTLS_TRY(Hmac hmac, Hmac::create(algorithm, key.bytes()));
    return RecordMac(version, std::move(hmac), std::nullopt, key.size());
  }
  if (algorithm != HashAlgorithm::kMd5 && algorithm != HashAlgorithm::kSha1) {
    return ktls::fail(
        Error::of(ErrorCode::kUnsupported, "SSLv3 has MACs of MD5 and SHA-1 only (RFC 6101)"));
  }
  KTLS_TRY(Hash hash, Hash::create(algorithm));
  return RecordMac(version, std::nullopt, Ssl3{std::move(hash), key.duplicate()}, key.size());
}

RecordMac::Header RecordMac::header(std::uint64_t sequence, ContentType type,
                                    std::size_t content_size) const {
  Header header{};
  ktls::store_big_endian(header.data(), sequence);
  header[kTypeAt] = static_cast<std::uint8_t>(type);
  ktls::store_big_endian(&header[kTypeAt + 1], static_cast<std::uint16_t>(version_));
  ktls::store_big_endian(&header[kTypeAt + 3], static_cast<std::uint16_t>(content_size));
  return header;
}

Bytes RecordMac::pad(std::uint8_t value) const {
  const Bytes whole = value == kPad1 ? Bytes(kInnerPad) : Bytes(kOuterPad);
  return ssl3_->hash.algorithm() == HashAlgorithm::kSha1 ? whole.first(kSha1PadSize) : whole;
}

ktls::Result<void> RecordMac::compute(std::uint64_t sequence, ContentType type, Bytes content,
                                      std::span<std::uint8_t> out) {
  if (ssl3_) return ssl3_compute(sequence, type, content, out);
  return hmac_->compute({header(sequence, type, content.size()), content}, out);
}

ktls::Result<void> RecordMac::compute_secretly(std::uint64_t sequence, ContentType type,
                                               Bytes record, std::size_t content_size,
                                               std::size_t padding_max,
                                               std::span<std::uint8_t> out) {
  if (ssl3_) {
    return ssl3_compute_secretly(sequence, type, record, content_size, padding_max, out);
  }
  return hmac_->compute_secretly(header(sequence, type, content_size), record, content_size, out);
}

ktls::Result<void> RecordMac::ssl3_compute(std::uint64_t sequence, ContentType type, Bytes content,
                                           std::span<std::uint8_t> out) {
  const Bytes key = ssl3_->key.bytes();
  std::array<std::uint8_t, kHashSizeMax> inner{};
  const auto inner_out = std::span(inner).first(size_);
  return ssl3_->hash
      .digest({key, pad(kPad1), ssl3_header(sequence, type, content.size()), content}, inner_out)
      .and_then([&] {
        return ssl3_->hash.digest({key, pad(kPad2), inner_out}, out);
      });
}

// Every size that the padding may leave is tried, and the right one kept by a mask. They are few,
// as SSLv3 pads to the next block only. They share nothing: the length is hashed before the
// content.
ktls::Result<void> RecordMac::ssl3_compute_secretly(std::uint64_t sequence, ContentType type,
                                                    Bytes record, std::size_t content_size,
                                                    std::size_t padding_max,
                                                    std::span<std::uint8_t> out) {
  const std::size_t largest = record.size() - size_ - 1;
  std::array<std::uint8_t, kHashSizeMax> candidate{};
  const auto candidate_out = std::span(candidate).first(size_);
  std::ranges::fill(out, std::uint8_t{0});
  for (std::size_t padding = 0; padding <= std::min(padding_max, largest); ++padding) {
    const std::size_t size = largest - padding;
    auto computed = ssl3_compute(sequence, type, record.first(size), candidate_out);
    if (!computed) return computed;
    const auto mask = static_cast<std::uint8_t>(constant_time::equal(size, content_size));
    for (std::size_t i = 0; i < size_; ++i)
      out[i] = static_cast<std::uint8_t>(out[i] | (candidate[i] & mask));
  }
  return {};
}

}  // namespace tls
