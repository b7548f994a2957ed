// Visits of a libssl client at a server of ours: which certificate it was shown, and whether it
// resumed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"

namespace tls::test {

// A host with a certificate of its own; `leaf` without names: for this one.
[[nodiscard]] Host host(const std::string& name, LeafOptions leaf = {.dns_names = {}});

// What came of a connection, which has exchanged data both ways.
//   fingerprint  of the certificate that the client was shown, or that its session began with
//   session      what can be resumed next
struct Visit {
  std::string fingerprint;
  std::string host;
  std::string peer_name;
  std::string alpn;
  std::size_t fragment_size_max = 0;
  bool resumed = false;
  SessionPtr session;
};

// Of two ends whose handshake is done.
[[nodiscard]] Visit end_of(LibsslPeer& client, OurPeer& server);

// `name` empty: no SNI. `client_context`: nullptr for one of libssl's defaults.
[[nodiscard]] Visit visit_as(const std::string& name, const std::shared_ptr<Context>& server,
                             ProtocolVersion version, SSL_SESSION* session = nullptr,
                             SSL_CTX* client_context = nullptr);

[[nodiscard]] std::string name_of_version(const testing::TestParamInfo<ProtocolVersion>& version);

}  // namespace tls::test
