// Context: one side's configuration for handshakes by libssl (certificates, trust, ALPN, versions,
// tickets), made once and shared by every connection and thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/suite/version.h"

namespace tls {

// Where key log lines go (NSS key log format), one line without newline. Must be thread-safe and
// not throw: libssl is its caller.
using KeylogSink = std::function<void(std::string_view line)>;

// A name that a server has besides its default, with a certificate of its own: clients are shown it
// who ask for the name (SNI).
//   name              "www.example.org", or "*.example.org" for any one label before the rest; an
//                     exact name goes before a wildcard. For its form see canonical_host_name().
//   certificate_file  as in ServerOptions, but never empty
struct Host {
  std::string name;
  std::string certificate_file;
  std::string key_file;
};

// Whether a server lets clients in that show no certificate. One that is shown must be good.
enum class ClientAuthentication : std::uint8_t { kRequired, kOptional };

// The default certificate is for clients that send no name, or one that no host has.
//   client_ca_file  PEM: whose certificates clients are asked for; empty: none are
struct ServerOptions {
  std::string certificate_file;  // PEM chain, leaf first; empty with an empty key_file: self-signed
  std::string key_file;          // PEM private key; empty: in certificate_file
  std::vector<Host> hosts = {};
  std::string client_ca_file = {};
  ClientAuthentication client_authentication = ClientAuthentication::kRequired;
  std::vector<std::string> alpn;  // in order of preference; empty: ALPN is ignored
  ProtocolVersion version_min = ProtocolVersion::kTls12;
  ProtocolVersion version_max = ProtocolVersion::kTls13;
  std::string ciphers;       // OpenSSL cipher list for TLS 1.2, empty: every suite of our table
  std::string ciphersuites;  // for TLS 1.3, likewise
  KeylogSink keylog;         // empty: none
};

struct ClientOptions {
  std::string ca_file;  // PEM; empty: the system's trust store
  bool verify = true;
  std::vector<std::string> alpn;
  ProtocolVersion version_min = ProtocolVersion::kTls12;
  ProtocolVersion version_max = ProtocolVersion::kTls13;
  std::string ciphers;
  std::string ciphersuites;
  KeylogSink keylog;
};

// What is shown to clients that ask for `host`.
//   host         in canonical form; empty: the default
//   fingerprint  lower-case hex of the SHA-256 of the leaf, with colons
//   not_after    of the leaf: seconds since 1970 until which it is valid
struct ServedCertificate {
  std::string host;
  std::string fingerprint;
  std::int64_t not_after = 0;
};

class Context {
 public:
  // Errors name the file and what libcrypto said: kInvalidArgument (a file that does not parse, a
  // key that does not match its certificate), kSystem (a file that cannot be read). A host's name
  // that is malformed or given twice is kInvalidArgument, too.
  //
  // `predecessor`: the context of the server role that the new one is to replace, for a reload.
  // Nothing but its ticket keys goes over, so that sessions are resumed by either of them, where
  // their name has the same host in both. The files are read anew; if that fails, the predecessor
  // is as it was. Handshakes under way keep the context that they began with alive.
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> server(
      const ServerOptions& options, const std::shared_ptr<Context>& predecessor = nullptr);
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> client(const ClientOptions& options);

  virtual ~Context() = default;
  // Of the default certificate, as in ServedCertificate; empty in the client role.
  [[nodiscard]] virtual std::string certificate_fingerprint() const = 0;
  // PEM of the default leaf certificate (for a self-signed one: what a client must trust).
  [[nodiscard]] virtual std::string certificate_pem() const = 0;
  // Server role: the default certificate, then those of the hosts in the order of the options.
  [[nodiscard]] virtual std::vector<ServedCertificate> certificates() const = 0;
  // What was accepted but will not please every peer, for people: a certificate that has expired,
  // or that does not hold the name of its host.
  [[nodiscard]] virtual const std::vector<std::string>& warnings() const = 0;
  // Client role: sessions that can be resumed at present.
  [[nodiscard]] virtual std::size_t session_count() const = 0;
};

}  // namespace tls
