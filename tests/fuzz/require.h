// require(): a promise of the library that an input must not be able to break.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace tls::fuzz {

// Prints what was promised and ends the program, which libFuzzer takes for a finding.
inline void require(bool is_kept, std::string_view promise, std::string_view detail = {},
                    const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (is_kept) return;
  std::fprintf(stderr, "%s:%d: broken: %.*s %.*s\n", file, line, static_cast<int>(promise.size()),
               promise.data(), static_cast<int>(detail.size()), detail.data());
  std::abort();
}

}  // namespace tls::fuzz
