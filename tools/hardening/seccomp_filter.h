// The seccomp filter: which system calls this process can still make, by the kernel's word.
#pragma once

#include "ktls/base/result.h"

namespace tools {

// For all threads and whatever they start, for good. Sets no_new_privs. Three kinds of calls:
//
//   what serving, reloading and ending take    allowed, some of them with certain arguments alone
//   what only a process does that was taken    the process is killed (SIGSYS): to execute a
//   over                                       program, to trace, to mount, to load modules …
//   all others                                 fail with ENOSYS, and the kernel logs them where
//                                              it has an audit
//
// Others do not kill because a library that is newer than this list may try a newer call first,
// and take the older one where the kernel has none: it must not end all connections.
//
// What is submitted to io_uring is no system call, and passes. The rings are there by then: no more
// are made.
//
// Error: kSystem; nothing is filtered then, but for clone3().
[[nodiscard]] ktls::Result<void> install_seccomp_filter();

}  // namespace tools
