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

// There were too many: the connection is over. -1 and errno.
int end_of_allowance(int fd);

}  // namespace broker
