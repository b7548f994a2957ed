// MAC-then-encrypt records, and their opening in constant time.
#include "userspace/record/cbc_protection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/record/bad_record_mac.h"
#include "userspace/record/constant_time.h"

namespace tls {
namespace {

using constant_time::Mask;
// GenericBlockCipher.padding is at most 255 bytes, and one more says how many.
constexpr std::size_t kPaddingLengthMax = 255;

// What decryption yields, judged without a branch on what it holds.
struct Judged {
  Mask is_good;
  std::size_t padding_length;  // of what is good; 0 otherwise, so that work goes on with something
};

// RFC 5246 section 6.2.3.2: "Each uint8 in the padding data vector MUST be filled with the padding
// length value." RFC 6101 section 5.2.3.2 says nothing of the contents, but bounds the length.
Judged judge_padding(ProtocolVersion version, std::span<const std::uint8_t> decrypted,
                     std::size_t mac_size, std::size_t block_size) {
  const std::size_t size = decrypted.size();
  const std::size_t length = decrypted[size - 1];
  Mask is_good = ~constant_time::less(size - mac_size - 1, length);
  if (version == ProtocolVersion::kSsl3) {
    is_good &= ~constant_time::less(block_size, length);
  } else {
    std::size_t differences = 0;
    for (std::size_t i = 1; i <= std::min(kPaddingLengthMax, size - 1); ++i) {
      // Hidden anew each time: else GCC reads at (end - length) + (length - i), two secrets in an
      // address, although they cancel out.
      const Mask is_padding = ~constant_time::less(constant_time::hidden(length), i);
      differences |= is_padding & (decrypted[size - 1 - i] ^ length);
    }
    is_good &= constant_time::is_zero(differences);
  }
  is_good = constant_time::hidden(is_good);
  return {.is_good = is_good, .padding_length = length & is_good};
}

// The MAC that ends before the padding, wherever that is: every place is read.
void extract_mac(std::span<const std::uint8_t> decrypted, std::size_t padding_length,
                 std::span<std::uint8_t> mac) {
  const std::size_t last_start = decrypted.size() - 1 - mac.size();
  std::ranges::fill(mac, std::uint8_t{0});
  for (std::size_t padding = 0; padding <= std::min(kPaddingLengthMax, last_start); ++padding) {
    const auto mask = static_cast<std::uint8_t>(constant_time::equal(padding, padding_length));
    const auto place = decrypted.subspan(last_start - padding, mac.size());
    for (std::size_t i = 0; i < mac.size(); ++i) {
      mac[i] = static_cast<std::uint8_t>(mac[i] | (place[i] & mask));
    }
  }
}

Mask same(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  std::size_t differences = 0;
  for (std::size_t i = 0; i < a.size(); ++i) differences |= std::size_t{a[i]} ^ b[i];
  return constant_time::is_zero(differences);
}

}  // namespace

ktls::Result<std::unique_ptr<Protection>> CbcProtection::create(
    ProtocolVersion version, const CipherSuite& suite, const TrafficKeys& keys,
    std::span<const std::uint8_t> fixed_iv_block) {
  KTLS_TRY(BlockParts parts, BlockParts::create(version, suite, keys, fixed_iv_block));
  return std::unique_ptr<Protection>(new CbcProtection(std::move(parts)));
}

std::size_t CbcProtection::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  const std::size_t size = content_size + parts_.mac.size();
  return kRecordHeaderSize + parts_.explicit_iv_size() + size +
         padding_size(size, parts_.cipher.block_size());
}

ktls::Result<void> CbcProtection::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                       std::span<std::uint8_t> wire) {
  const auto body = wire.subspan(kRecordHeaderSize);
  const auto rest = parts_.begin_record(outgoing, wire);
  auto done =
      parts_.mac.compute(sequence, outgoing.type, outgoing.content, rest.first(parts_.mac.size()));
  if (!done) return done;
  fill_padding(rest.subspan(parts_.mac.size()));
  done = parts_.cipher.encrypt(parts_.chain.value(), body, body);
  if (done) parts_.chain.set(body);
  return done;
}

ktls::Result<Opened> CbcProtection::open(std::uint64_t sequence, const RecordHeader& header,
                                         std::span<std::uint8_t> body) {
  const std::size_t block_size = parts_.cipher.block_size();
  if (body.size() % block_size != 0) return not_whole_blocks();
  CbcChain next = parts_.chain;
  next.set(body);
  auto done = parts_.cipher.decrypt(parts_.chain.value(), body, body);
  if (!done) return ktls::fail(std::move(done).error());
  if (body.size() < parts_.explicit_iv_size() + parts_.mac.size() + 1) return bad_record_mac(body);
  const auto decrypted = body.subspan(parts_.explicit_iv_size());
  constant_time::classify(decrypted);

  const Judged judged = judge_padding(parts_.version, decrypted, parts_.mac.size(), block_size);
  const std::size_t content_size = decrypted.size() - parts_.mac.size() - 1 - judged.padding_length;
  std::array<std::uint8_t, kHashSizeMax> computed{};
  std::array<std::uint8_t, kHashSizeMax> received{};
  const auto expected = std::span(computed).first(parts_.mac.size());
  const auto found = std::span(received).first(parts_.mac.size());
  done = parts_.mac.compute_secretly(sequence, header.type, decrypted, content_size, block_size,
                                     expected);
  if (!done) return wiped(body, std::move(done).error());
  extract_mac(decrypted, judged.padding_length, found);
  // From here on it is known to all whether the record was good.
  const Mask is_good = constant_time::declassify(judged.is_good & same(expected, found));
  if (is_good == 0) return bad_record_mac(body);
  parts_.chain = next;
  const auto content = decrypted.first(constant_time::declassify(content_size));
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
