// Random bytes from libcrypto's generator.
#pragma once

#include <cstdint>
#include <span>

#include "ktls/base/result.h"

namespace tls {

// Fills `out`. Error: kCrypto when the generator cannot be seeded; `out` is then not to be used.
[[nodiscard]] ktls::Result<void> fill_random(std::span<std::uint8_t> out);

}  // namespace tls
