// Another file for the numbers that a program knows.
#pragma once

#include "tools/preload/wrapped.h"

namespace preload {

// `fd` takes all numbers of `wrapped`, each of which keeps its FD_CLOEXEC, and its kind is `kind`
// from then on; epoll sets in which they were are told again. `fd` itself stays open. Under
// Changing. 0, or an errno, when numbers that were not replaced have what they had.
int replace_file(Wrapped& wrapped, int fd, Kind kind);

// A copy of `fd` at a high number, where programs that count on low ones do not meet it; with
// FD_CLOEXEC, entered as the shim's own. -1 and errno. Under Changing.
int make_internal_copy(int fd);
// The same of a descriptor that there is: moves it there. Its new number, or -1 and errno, when
// `fd` is as it was.
int make_internal(int fd);
// Closes a descriptor that is the shim's own. Under Changing.
void close_internal(int fd);
// The program wants the number: the shim's own descriptor there moves away, and whoever knew it is
// told. Under Changing. 0, or an errno.
int make_room_at(int fd);

}  // namespace preload
