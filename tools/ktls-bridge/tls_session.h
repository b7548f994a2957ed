// The TLS part of a session: from a connected descriptor to a Connection, with what the
// connection's line says of it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/phase.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/bridge/connection.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// What the functions here borrow from the session; all of it outlives their tasks.
//   intended           what the directions are planned by; --offload decides afterwards if it will
//                      do
//   server_name        client role: what the certificate must be for; null: what `setting` says
//   handshake_timeout  what is left of it
struct TlsSession {
  bridge::Loop& loop;
  Cancellation& cancellation;
  const TlsSetting& setting;
  ConnectionLog& line;
  bridge::OffloadPolicy intended = setting.options().offload;
  const std::string* server_name = nullptr;
  std::chrono::milliseconds handshake_timeout = setting.options().handshake_timeout;
};

// Small records must not wait for an acknowledgement (Nagle); on a unix socket this does nothing.
void send_at_once(int fd);

// Handshake and hand-over on `fd`, which outlives the Connection. Null if the handshake failed, or
// if --offload asks for more than the kernel gave and the peer was told so; `line` has ended then.
[[nodiscard]] bridge::Task<std::unique_ptr<bridge::Connection>> hand_over(TlsSession session,
                                                                          int fd);

// Tells the TLS peer that nothing will come of the connection, so that it does not take the end
// for an empty answer.
[[nodiscard]] bridge::Task<void> refuse(TlsSession session, bridge::Connection& connection);

}  // namespace tools
