// Loads and stores at odd addresses, against bytes written out.
#include "ktls/base/endian.h"

#include <array>
#include <cstdint>

#include <gtest/gtest.h>

namespace ktls {
namespace {

constexpr std::array<std::uint8_t, 9> kBytes{0xff, 1, 2, 3, 4, 5, 6, 7, 8};

TEST(Endian, LoadsTheFirstByteAsTheHighestAtAnyAddress) {
  EXPECT_EQ(load_big_endian<std::uint8_t>(&kBytes[1]), 0x01);
  EXPECT_EQ(load_big_endian<std::uint16_t>(&kBytes[1]), 0x0102);
  EXPECT_EQ(load_big_endian<std::uint32_t>(&kBytes[1]), 0x01020304U);
  EXPECT_EQ(load_big_endian<std::uint64_t>(&kBytes[1]), 0x0102030405060708U);
}

TEST(Endian, StoresTheHighestByteFirstAndNothingBeyond) {
  std::array<std::uint8_t, 10> bytes{};
  bytes.fill(0xee);
  store_big_endian<std::uint64_t>(&bytes[1], 0x0102030405060708);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 10>{0xee, 1, 2, 3, 4, 5, 6, 7, 8, 0xee}));
  store_big_endian<std::uint32_t>(&bytes[1], 0x0a0b0c0d);
  store_big_endian<std::uint16_t>(&bytes[5], 0x1122);
  store_big_endian<std::uint8_t>(&bytes[7], 0x33);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 10>{0xee, 0x0a, 0x0b, 0x0c, 0x0d, 0x11, 0x22, 0x33, 8,
                                                 0xee}));
}

TEST(Endian, StoreUndoesLoad) {
  for (const std::uint64_t value : {0ULL, 1ULL, 0x8000000000000000ULL, ~0ULL}) {
    std::array<std::uint8_t, 8> bytes{};
    store_big_endian(bytes.data(), value);
    EXPECT_EQ(load_big_endian<std::uint64_t>(bytes.data()), value);
  }
}

}  // namespace
}  // namespace ktls
