// The end of a descriptor, and of what it was the last one of.
#pragma once

#include "tools/preload/wrapped.h"

namespace preload {

// As close(2) of a descriptor that has an entry. 0, or -1 and errno.
int close_wrapped(int fd);
// The number `fd` is about to be taken by something else (dup2): its entry goes, and whatever that
// was ends as by close, but the descriptor itself stays open.
void let_go_of(int fd);
// All that this process has, as its end would close it: exit(3) and _exit(2).
void close_all();
// From now on another process may have what this one has.
void mark_all_shared();
// In a child of fork(), under the lock: all that it has is its parent's, until it does something.
void mark_all_parents();

}  // namespace preload
