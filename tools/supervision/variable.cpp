// One door to setenv(3)'s world.

#include "tools/supervision/variable.h"

#include <cstdlib>

namespace tools {

std::optional<std::string> variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr) return std::nullopt;
  return value;
}

std::optional<std::string> take_variable(const char* name) {
  std::optional<std::string> taken = variable(name);
  if (taken) ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  return taken;
}

}  // namespace tools
