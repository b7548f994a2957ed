// How a wrapper fails.
#pragma once

#include <cerrno>

namespace preload {

// -1, with that errno.
inline int fail_with(int error) {
  errno = error;
  return -1;
}

}  // namespace preload
