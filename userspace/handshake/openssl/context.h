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

struct ServerOptions {
  std::string certificate_file;  // PEM chain, leaf first; empty with an empty key_file: self-signed
  std::string key_file;          // PEM private key; empty: in certificate_file
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

class Context {
 public:
  // Errors name the file and what libcrypto said: kInvalidArgument (a file that does not parse, a
  // key that does not match its certificate), kSystem (a file that cannot be read).
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> server(const ServerOptions& options);
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> client(const ClientOptions& options);

  virtual ~Context() = default;
  // Lower-case hex of the SHA-256 of the leaf certificate, with colons; empty in the client role.
  [[nodiscard]] virtual std::string certificate_fingerprint() const = 0;
  // PEM of the leaf certificate (for a self-signed one: what a client must trust).
  [[nodiscard]] virtual std::string certificate_pem() const = 0;
  // What was accepted but will not please every peer, for people: an expired certificate.
  [[nodiscard]] virtual const std::vector<std::string>& warnings() const = 0;
  // Client role: sessions that can be resumed at present.
  [[nodiscard]] virtual std::size_t session_count() const = 0;
};

}  // namespace tls
