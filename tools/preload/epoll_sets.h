// Which epoll sets have which of the sockets whose file may still change: the kernel keeps what was
// put into a set by the file, so that a socket that takes the number of another has to be put there
// again.
#pragma once

#include "tools/preload/wrapped.h"

struct epoll_event;

namespace preload {

// All under Changing.

// As epoll_ctl(2), for a descriptor of `wrapped`, whose kind is kFresh, kListener or kPending; and
// remembers what was asked for. While it is pending the set waits for the broker's answer alone.
int control_set(int set, int operation, int fd, epoll_event* event, Wrapped& wrapped);

// Takes all of its descriptors out of their sets, before their file changes; and puts them back as
// the program asked for, after it.
void withdraw_from_sets(const Wrapped& wrapped);
void put_back_into_sets(const Wrapped& wrapped);

// Nothing is known of `fd` any more: as a member of sets, and as a set.
void forget_in_sets(int fd);
// Nothing is remembered of the sets of `wrapped`: its file will not change again.
void forget_sets_of(const Wrapped& wrapped);
// `copy` is another number of the set `fd`. Sets are known by number, and so by two numbers.
void copy_set(int fd, int copy);

}  // namespace preload
