// establish(): drives a handshake over a descriptor, reading exactly one record at a time, so that
// the socket's queue starts on a record boundary when the handshake is over.
#pragma once

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/handshake.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace bridge {

// Borrows all its arguments until it is done; `fd` is a connected stream socket. On success every
// byte of the handshake has been written, and none past it has been read. On failure the alert
// that libssl made, if any, has been sent as far as the socket took it.
// Errors: those of tls::Handshake, kEndOfStream when the peer closed, kTimeout and kCancelled of
// the scope, kSystem of the socket.
[[nodiscard]] Task<ktls::Result<tls::Handshake::Finished>> establish(Loop& loop, Scope& scope,
                                                                     int fd,
                                                                     tls::Handshake& handshake);

}  // namespace bridge
