// The environment of a program that serves one connection: what UCSPI and TLS servers tell theirs.
#pragma once

#include <string>
#include <vector>

#include "tools/common/address.h"
#include "userspace/bridge/connection.h"

namespace tools {

// This process's own environment and, in the place of what it has of them itself:
//   PROTO          TCP, or IPC for a unix socket
//   TCPLOCALIP, TCPLOCALPORT, TCPREMOTEIP, TCPREMOTEPORT   absent for a unix socket
//   SSL_PROTOCOL   "TLSv1.3"
//   SSL_CIPHER     the cipher suite, by OpenSSL's name
//   SSL_TLS_SNI_SERVERNAME   the name that the client asked for; absent if none
// Source: tcp-environ(5) of ucspi-tcp; s6-tlsd of s6-networking.
[[nodiscard]] std::vector<std::string> program_environment(const SocketAddress& local,
                                                           const SocketAddress& remote,
                                                           const bridge::ConnectionFacts& facts);

}  // namespace tools
