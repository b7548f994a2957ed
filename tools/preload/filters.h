// System call filters that the program installs (seccomp(2)), which may forbid what the shim needs.
#pragma once

namespace preload {

// False from the moment at which a filter was installed that forbids it: connections that there are
// go on as well as they can, and no new ones are made.
[[nodiscard]] bool may_make_connections();

// The program is about to install this, by seccomp(2) with the same arguments: tries it in a copy
// of the process, and says so when the shim will be of no use behind it.
void try_filter(unsigned operation, unsigned flags, void* filter);

}  // namespace preload
