// ConnectionObserver: is told of what a connection says and hears besides application data, when it
// happens: for connections that live long, or that others have, there is no later moment to ask.
#pragma once

#include <cstdint>

#include "userspace/suite/alert.h"

namespace bridge {

// Called on the thread of the connection's loop, after the act and without a right to fail it.
class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;

  // close_notify is one, too.
  virtual void alert_sent(tls::AlertDescription alert) = 0;
  // `alert` is what the peer wrote, whether it has a name or not.
  virtual void alert_received(tls::AlertDescription alert) = 0;
  virtual void key_update_sent() = 0;
  // It was followed.
  virtual void key_update_received() = 0;
};

}  // namespace bridge
