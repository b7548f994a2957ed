// guard(): keeps a TLS connection alive whose socket a program has: the kernel seals what the
// program writes, and everything else is the guard's.
#pragma once

#include <chrono>

#include <sys/types.h>

#include "userspace/bridge/connection.h"
#include "userspace/bridge/departure.h"
#include "userspace/bridge/relay.h"
#include "userspace/io/loop.h"

namespace bridge {

// What a program was given.
//   feed_fd       our end of the stream socket whose other end the program reads application data
//                 from; -1: it reads from the TLS socket itself (direct), and is on its own with
//                 control records
//   group         the process group that it was started as
//   departure     borrowed
//   idle_timeout  after which a connection ends on which TCP has moved nothing
struct HandedOut {
  int feed_fd;
  pid_t group;
  Departure& departure;
  std::chrono::milliseconds idle_timeout;
};

// The connection sends in the kernel, and with a feed it receives in either place. From here on the
// socket blocks, as programs expect of theirs; nothing here does.
//
// Passes application data on to the feed, acts on control records, and changes our key when the
// peer or the key's budget asks for it, for which it has everybody who holds the socket stand still
// (kRekeyImpossible where that cannot be). When the last holder has gone it sends close_notify and
// FIN. The peer's close_notify becomes the end of the feed, and anything worse ECONNRESET there
// (see Feed), once its owner closes it. RelayReport::sent stays 0: who writes are others.
[[nodiscard]] Task<RelayReport> guard(Loop& loop, Scope& scope, Connection& connection,
                                      const HandedOut& handed_out);

}  // namespace bridge
