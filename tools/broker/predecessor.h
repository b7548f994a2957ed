// Predecessor: the broker that had our path before, for as long as it still relays.
#pragma once

#include <string>

#include "tools/broker/datagram.h"

namespace tools {

// Added to the path of a broker that drains: there it hears of the ends of what it relays, while
// the path itself is free for another one.
inline constexpr const char* kDrainingSuffix = ".draining";

// Passes a request about a stream that is not ours on to the broker that drains beside `path`: it
// brings the socket for its answers along, so nothing comes back this way. False: there is none.
[[nodiscard]] bool pass_on(const std::string& path, const Message& message);

}  // namespace tools
