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
//   SSL_CLIENT_VERIFY        SUCCESS, or NONE from a client that has shown no certificate
//   SSL_CLIENT_S_DN, SSL_CLIENT_S_DN_CN, SSL_CLIENT_I_DN   of its certificate
//   SSL_PEER_CERT_HASH ("SHA256:" and hex), SSL_PEER_CERT_SUBJECT   the same for who knows these
// Source: tcp-environ(5) of ucspi-tcp; s6-tlsd of s6-networking; Apache's mod_ssl.
[[nodiscard]] std::vector<std::string> program_environment(const SocketAddress& local,
                                                           const SocketAddress& remote,
                                                           const bridge::ConnectionFacts& facts);

}  // namespace tools
