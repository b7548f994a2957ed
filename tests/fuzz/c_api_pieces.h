// The parts of the C interface that need no layer, for its fuzzer, and what its acts share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/fuzz/input.h"

namespace tls::fuzz {

using Bytes = std::vector<std::uint8_t>;

// Bytes that differ by place and by seed.
[[nodiscard]] Bytes pattern(std::size_t size, std::uint8_t seed);

// Returns the answer, which is one that the header names and that an input may bring about.
int answered(int error);

// Headers and bodies without protection, fed piece by piece.
void frame_anything(Input& input);

// ktlsb_cbc_padding, ktlsb_mac, ktlsb_prf, with sizes that may not fit.
void use_any_piece(Input& input);

}  // namespace tls::fuzz
