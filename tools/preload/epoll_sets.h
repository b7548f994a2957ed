// Which epoll sets have which of the sockets whose file may still change: the kernel keeps what was
// put into a set by the file, so that a socket that takes the number of another has to be put there
// again.
//
// A connection that is pending is in the set with a mark of ours in the place of the program's
// data, so that an event of the socket on which the broker answers cannot be taken for one of the
// program's, whoever reads it, and however late.
#pragma once

#include <cstdint>

#include "tools/preload/wrapped.h"

struct epoll_event;

namespace preload {

// Whether `data` of an event is a mark of ours.
[[nodiscard]] bool is_mark(std::uint64_t data);

// All below under Changing.

// As epoll_ctl(2), for a descriptor of `wrapped`, whose kind is kFresh, kListener, kPending or
// kFailed; and remembers what was asked for. While it is pending the set waits for the broker's
// answer alone.
int control_set(int set, int operation, int fd, epoll_event* event, Wrapped& wrapped);

// Takes all of its descriptors out of their sets, before their file changes; and puts them back as
// the program asked for, after it and as its kind is then.
void withdraw_from_sets(const Wrapped& wrapped);
void put_back_into_sets(const Wrapped& wrapped);

// Nothing is known of `fd` any more: as a member of sets, and as a set. To be called before it is
// closed.
void forget_in_sets(int fd);
// Nothing is remembered of the sets of `wrapped`: its file will not change again.
void forget_sets_of(const Wrapped& wrapped);
// `copy` is another number of the set `fd`.
void copy_set(int fd, int copy);

// The connection that a mark stands for, if it is pending still; null: it is not.
[[nodiscard]] Wrapped* find_by_mark(std::uint64_t mark);
// Adds the error to the events of descriptors in the set whose connection has failed, which nobody
// has been told yet: the kernel's socket has forgotten it.
void add_errors_of_failed(int set, epoll_event* events, int count);

}  // namespace preload
