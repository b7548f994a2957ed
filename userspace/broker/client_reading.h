// What comes between application data, for who reads by system calls of its own.
#pragma once

#include "userspace/broker/client_message.h"

namespace broker {

// Control records that one call may still take.
class ControlAllowance {
 public:
  // False: there were too many.
  [[nodiscard]] bool take();

 private:
  int left_ = 0;
  Deadline until_ = Deadline::in_ms(0);
};

// A read answered 0 (`error` 0), or failed with `error`: acts on what is next. 1: read on; 0: the
// end, by close_notify; -1 and errno, as ktlsb_read(). EAGAIN: nothing is there, or, unless it
// `may_wait`, the key is not there yet.
[[nodiscard]] int go_on_after(int fd, int error, bool may_wait);

// Takes the control records that are next, in front of a close(2). Tickets and key updates that
// nobody read are no data that a peer would miss, but the kernel takes them for such, and resets
// the connection at its close (RFC 9293 section 3.6.1): the end of what was written is lost. What
// follows a key update can be taken only when the broker has followed it. Keeps errno.
void take_control_records(int fd);

// There were too many: the connection is over. -1 and errno.
int end_of_allowance(int fd);

}  // namespace broker
