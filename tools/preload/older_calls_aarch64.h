// Calls that older processors have besides: none here.
#pragma once

#include "tools/preload/numbered_calls.h"

namespace preload {

inline constexpr std::array<NumberedCall, 0> kOlderCalls{};
inline constexpr long kForkNumber = -1;

}  // namespace preload
