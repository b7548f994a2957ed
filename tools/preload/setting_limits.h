// How much a setting may say: `ktls-bridge run` takes no more than the shim can remember, and tell
// the programs that a program runs.
#pragma once

#include <cstddef>

namespace preload {

// Ports of KTLS_BRIDGE_LISTEN, and patterns of KTLS_BRIDGE_CONNECT.
inline constexpr std::size_t kPortsMax = 256;
inline constexpr std::size_t kPatternsMax = 256;
// Characters of KTLS_BRIDGE_CONNECT, with its commas.
inline constexpr std::size_t kPatternsTextMax = 4096;

}  // namespace preload
