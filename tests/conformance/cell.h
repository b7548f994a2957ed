// Cell: one connection of the matrix: what it is made of, and what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "ktls/base/result.h"
#include "tests/conformance/pattern.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace conformance {

// `tx` and `rx` are calls of the endpoint under test: see make_send_call(), make_receive_call();
// empty: that direction carries no application data. "records" for both: the endpoint is our own
// record layer in userspace, for machines without kernel TLS.
struct Cell {
  tls::ProtocolVersion version;
  const tls::CipherSuite* suite;
  tls::Role role;    // the endpoint's; the peer has the other
  std::string peer;  // openssl, gnutls, java, own
  std::string tx;
  std::string rx;
  std::uint64_t size;  // bytes a direction

  [[nodiscard]] std::uint64_t send_size() const { return tx.empty() ? 0 : size; }
  [[nodiscard]] std::uint64_t receive_size() const { return rx.empty() ? 0 : size; }
  [[nodiscard]] bool in_userspace() const { return tx == "records" || rx == "records"; }
};

// {"version": "TLSv1.3", "cipher": "AES-128-GCM", "role": "server", "peer": ..., "tx": ...,
// "rx": ..., "size": ...}; what else is in it is for others. Error: kInvalidArgument for a version
// or cipher that has no row.
[[nodiscard]] ktls::Result<Cell> parse_cell(const nlohmann::json& text);

// What the endpoint sends, and what its peer does.
[[nodiscard]] inline Pattern endpoint_pattern() {
  return Pattern(1);
}
[[nodiscard]] inline Pattern peer_pattern() {
  return Pattern(2);
}

[[nodiscard]] inline tls::Role other(tls::Role role) {
  return role == tls::Role::kClient ? tls::Role::kServer : tls::Role::kClient;
}

// Where the certificate and key of whoever is the server are, and the peer in another process.
struct Surroundings {
  std::string certificate_file;
  std::string key_file;
  std::uint16_t java_port = 0;  // 0: there is none
};

}  // namespace conformance
