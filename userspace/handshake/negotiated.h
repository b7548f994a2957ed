// Negotiated: what any handshake yields, whichever code drove it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
#include "userspace/schedule/traffic_keys.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace tls {

// A certificate that a peer has shown, and that was verified.
//   subject, issuer  distinguished names as RFC 2253 writes them, in UTF-8: "CN=device 7,O=Example"
//   common_name      of the subject; empty where it has none, or one with a zero byte
//   sha256           of its DER, in lower-case hex
struct PeerCertificate {
  std::string subject;
  std::string issuer;
  std::string common_name;
  std::string sha256;
};

// The certificate that we have shown, in a handshake that was not resumed; empty otherwise.
//   signature_algorithm  by which it is signed: "RSA-SHA256", "ecdsa-with-SHA256"
//   key_algorithm        of its key: "RSA2048", "EC256", "ED25519"
struct OwnCertificate {
  std::string signature_algorithm = {};
  std::string key_algorithm = {};
};

// The result of a finished handshake. Move-only, as it holds the only copy of both states.
//   read, write        connection states at the sequence numbers that the handshake left behind
//   read_secret,       TLS 1.3: application traffic secrets of each direction, for KeyUpdate;
//   write_secret       empty in TLS 1.2
//   peer_name          client role: the name that was verified, empty where a pre-shared key was
//                      instead; server role: the SNI name or empty
//   host               server role: the host whose certificate was shown, now or when the session
//                      began, by its place in Context::certificates(); 0: the default
//   peer_certificate   server role: what the client has shown; none where it was not asked to
//   psk_identity       whose pre-shared key authenticated both, now or when the session began, or
//                      empty
//   own_certificate    server role: what the client was shown
//   alpn               the protocol agreed on, or empty
//   fragment_size_max  content bytes, padding included, that a record of ours may have: 2^14, or
//                      less if the peer takes less (RFC 8449, RFC 6066 section 4)
struct Negotiated {
  ProtocolVersion version;
  const CipherSuite* suite;
  Role role;
  bool resumed = false;
  std::string peer_name;
  std::size_t host = 0;
  std::optional<PeerCertificate> peer_certificate = std::nullopt;
  std::string psk_identity = {};
  OwnCertificate own_certificate = {};
  std::string alpn;
  std::size_t fragment_size_max = kPlaintextSizeMax;
  ConnectionState read;
  ConnectionState write;
  TrafficSecret read_secret;
  TrafficSecret write_secret;
};

}  // namespace tls
