// A descriptor that whoever started this process has left open for it.
#pragma once

#include "ktls/base/result.h"

namespace tools {

// Takes note that `fd` is ours: no program that we start has it from here on. Errors: kSystem where
// it is not open; kUnsupported where it was not inherited, but opened by ourselves: what we open is
// closed by execve(2), and what is inherited cannot be.
[[nodiscard]] ktls::Result<void> claim_inherited(int fd);

}  // namespace tools
