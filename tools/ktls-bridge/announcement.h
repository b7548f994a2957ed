// What every subcommand that goes on running says of the machine before it begins.
#pragma once

#include <cstddef>

#include "ktls/core/capability.h"
#include "tools/common/log.h"
#include "userspace/io/loop.h"

namespace tools {

// "loop", and "loop_reason" where io_uring is not used.
void add_loop_fields(LogFields& fields, const bridge::Loop& loop);

// "kernel_tls" and "kernel_rekey", or why there is none: "reason" and "remedy".
void add_kernel_fields(LogFields& fields, const ktls::Capability& capability);

// As many descriptors as the system lets this process have; answers how many.
std::size_t raise_descriptor_limit();

}  // namespace tools
