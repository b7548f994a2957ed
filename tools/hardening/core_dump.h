// Core dumps: none of a process that holds keys, or with --core one without any of its memory.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "ktls/base/result.h"

namespace tools {

// To be called first. No core, and neither ptrace(2) nor a look at the memory by processes of the
// same user. What is not asked for stays so.
void forbid_core_dumps();

// The limit can be raised no more: for whoever starts no programs, which are to have what there
// was.
void forbid_core_dumps_for_good();

// For --core: as large a core as `ulimit -c` allowed when this program was started. The kernel is
// told to leave out every page of memory, because keys are on the heaps of several libraries and
// in registers that were saved on stacks, of which no list of pages would be whole. What is in it
// are registers, the list of threads and that of mapped files: where each thread was.
// Error: kSystem, and there is no core.
[[nodiscard]] ktls::Result<void> allow_core_dumps();

// Where the kernel makes the file of a core dump with the rights of this process, which Landlock
// would keep it from; empty: it gives the core to a program of the system's.
[[nodiscard]] std::optional<std::string> core_directory();

// To be called after the user was changed, for which the kernel sets PR_SET_DUMPABLE to what
// fs.suid_dumpable says.
void keep_core_dumps_as_they_were();

// A program that was started has our filter of core dumps, which is about our memory: gives it the
// one with which we were started. Does nothing where allow_core_dumps() was not called.
void restore_core_filter_of(pid_t program);

}  // namespace tools
