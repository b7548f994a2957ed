// System call filters that the program installs (seccomp(2)), which may forbid what the shim needs.
#pragma once

namespace preload {

// False from the moment at which a filter was installed that forbids it: connections that there are
// go on as well as they can, and no new ones are made.
[[nodiscard]] bool may_make_connections();

// Whether this process has installed any: what can be done without, as to open a file of /proc, is
// not tried then, for it may be the end of the program.
[[nodiscard]] bool is_filtered();

// The program is about to install this, by seccomp(2) with the same arguments: tries it in a copy
// of the process, and says so when the shim will be of no use behind it.
void try_filter(unsigned operation, unsigned flags, void* filter);

}  // namespace preload
