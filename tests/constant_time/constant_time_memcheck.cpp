// In the place of userspace/record/constant_time.cpp: secrets are undefined to valgrind's memcheck,
// which then reports every branch and every address that depends on one.
#include <valgrind/memcheck.h>

#include "userspace/record/constant_time.h"

namespace tls::constant_time {

void classify(std::span<const std::uint8_t> secret) {
  static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(secret.data(), secret.size()));
}

std::size_t declassify(std::size_t value) {
  static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value));
  return value;
}

}  // namespace tls::constant_time
