// The calls without a layer, and what has to hold of their answers.
#include "tests/fuzz/c_api_pieces.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "tests/fuzz/require.h"
#include "userspace/api/ktls_bridge.h"

namespace tls::fuzz {

Bytes pattern(std::size_t size, std::uint8_t seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::uint8_t>(seed + 7 * i + (i >> 8U) * 3);
  }
  return bytes;
}

int answered(int error) {
  require(error <= KTLSB_WANT_MORE && error >= KTLSB_NOT_IN_KERNEL, "an answer has a name",
          ktlsb_error_name(error));
  require(error != KTLSB_CRYPTO && error != KTLSB_NO_MEMORY, "no input makes libcrypto fail");
  const int alert = ktlsb_error_alert(error);
  require(alert >= -1 && alert <= 255, "an alert is a byte");
  return error;
}

void frame_anything(Input& input) {
  Bytes last;  // ASan sees where a body lies
  ktlsb_framer* const framer = ktlsb_framer_new();
  answered(ktlsb_framer_set_limit(framer, input.below(0x5000), input.byte() % 2));
  for (std::size_t i = 1 + input.below(4); i > 0; --i) {
    const auto bytes = input.bytes(input.below(0x40));
    answered(ktlsb_framer_feed(framer, bytes.data(), bytes.size()));
    ktlsb_record record{};
    int error = KTLSB_OK;
    while ((error = answered(ktlsb_framer_next(framer, &record))) == KTLSB_OK) {
      last.assign(record.content, record.content + record.content_size);
      require(record.header.length == record.content_size, "a body is as long as announced");
    }
    require(error != KTLSB_WANT_MORE || ktlsb_framer_want(framer) > 0,
            "who wants more says how much");
  }
  answered(ktlsb_framer_feed_end(framer));
  ktlsb_framer_free(framer);
}

void use_any_piece(Input& input) {
  std::array<std::uint8_t, 16> block{};
  std::size_t size = 0;
  if (answered(ktlsb_cbc_padding(input.number(8), input.below(20), block.data(), &size)) ==
      KTLSB_OK) {
    require(size >= 1 && size <= block.size(), "padding has a byte, and a block at most");
  }
  const auto version = static_cast<std::uint16_t>(0x0300 + input.below(5));
  const auto hash = static_cast<ktlsb_hash>(input.below(4));
  const Bytes data = pattern(input.flag() ? input.below(0x100) : input.below(0x11000), 3);
  std::array<std::uint8_t, 48> mac{};
  const std::size_t key_size = std::min<std::size_t>(16 + input.below(33), data.size());
  if (answered(ktlsb_mac(version, hash, data.data(), key_size, 1, 23, data.data(), data.size(),
                         mac.data(), input.below(49), &size)) == KTLSB_OK) {
    require(size == key_size && data.size() <= UINT16_MAX, "a MAC is of what its length can say");
  }
  Bytes out(input.below(0x200));
  answered(ktlsb_prf(version, hash, data.data(), std::min<std::size_t>(data.size(), 48),
                     input.flag() ? "label" : nullptr, data.data(),
                     std::min<std::size_t>(data.size(), 0x500), out.data(), out.size()));
}

}  // namespace tls::fuzz
