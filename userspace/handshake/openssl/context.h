// Context: one side's configuration for handshakes by libssl (certificates, trust, ALPN, versions,
// tickets), made once and shared by every connection and thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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

// A certificate with its key.
struct CertificateFiles {
  std::string certificate_file;  // PEM chain, leaf first
  std::string key_file = {};     // PEM private key; empty: in certificate_file
};

// Whether a server lets clients in that show no certificate. One that is shown must be good.
enum class ClientAuthentication : std::uint8_t { kRequired, kOptional };

// One ticket for the next connection and one for a parallel one (RFC 8446 appendix C.4).
inline constexpr unsigned kTicketsDefault = 2;

// The default certificate is for clients that send no name, or one that neither a host nor another
// certificate has. Where certificates with different kinds of key hold a name, a client is shown
// one that it can verify; the default one has those beside it that hold all its names.
//   certificates     besides the default, for the names in their subjectAltName; the first of a
//                    kind of key goes before the others, and a host before all
//   certificate_directory  more of them, or all: each NAME.pem or NAME.crt, in the order of their
//                    names, with the key in NAME.key or in the same file
//   ocsp_files       DER, each for one of all these certificates, as is CERTIFICATE_FILE.ocsp where
//                    it is there: sent to clients that ask for it, as long as it is current. After
//                    a reload one may be for a certificate that is gone, which is a warning
//   client_ca_file   PEM: whose certificates clients are asked for; empty: none are
//   client_crl_file  PEM: revocation lists, one of each authority in a client's chain; empty: none
//   ciphers          suites of TLS 1.2, see SuiteChoice; ciphersuites those of TLS 1.3
//   groups           for the key exchange, see parse_group_list(); empty: libssl's
//   psk_file         pre-shared keys, see PreSharedKeys; empty: none. Without certificates of any
//                    kind and hosts nobody is shown one, and who has no key does not get in.
//                    Clients with a key are asked for no certificate in any case
struct ServerOptions {
  std::string certificate_file;  // PEM chain, leaf first; empty, and no others: self-signed
  std::string key_file;          // PEM private key; empty: in certificate_file
  std::vector<Host> hosts = {};
  std::vector<CertificateFiles> certificates = {};
  std::string certificate_directory = {};
  std::vector<std::string> ocsp_files = {};
  std::string client_ca_file = {};
  std::string client_crl_file = {};
  ClientAuthentication client_authentication = ClientAuthentication::kRequired;
  std::vector<std::string> alpn;  // in order of preference; empty: ALPN is ignored
  ProtocolVersion version_min = ProtocolVersion::kTls12;
  ProtocolVersion version_max = ProtocolVersion::kTls13;
  std::string ciphers;
  std::string ciphersuites;
  std::string groups = {};
  std::string psk_file = {};
  KeylogSink keylog;  // empty: none
  // What a client of TLS 1.3 gets after a full handshake; one of TLS 1.2 gets one at most. 0: no
  // session is resumed, by its id neither.
  unsigned tickets = kTicketsDefault;

  [[nodiscard]] bool is_psk_only() const {
    return !psk_file.empty() && certificate_file.empty() && key_file.empty() && hosts.empty() &&
           certificates.empty() && certificate_directory.empty();
  }
};

// As for ServerOptions. Of `psk_file` the first key is used: the peer is authenticated by it, or
// else by its certificate.
//   crl_file      PEM: revocation lists, one of each authority in the peer's chain; empty: none. It
//                 needs ca_file
//   pins          as parse_pins() has them: the peer must have one of these keys, whether or not
//                 its certificate is verified besides; empty: any key
//   certificates  for servers that ask for one, each with another kind of key
struct ClientOptions {
  std::string ca_file;  // PEM; empty: the system's trust store
  std::string crl_file = {};
  bool verify = true;
  std::vector<std::string> pins = {};
  std::vector<CertificateFiles> certificates = {};
  std::vector<std::string> alpn;
  ProtocolVersion version_min = ProtocolVersion::kTls12;
  ProtocolVersion version_max = ProtocolVersion::kTls13;
  std::string ciphers;
  std::string ciphersuites;
  std::string groups = {};
  std::string psk_file = {};
  KeylogSink keylog;
};

// What is shown to clients that ask for `host`.
//   host         in canonical form; empty: the default, and others by names of their own
//   fingerprint  lower-case hex of the SHA-256 of the leaf, with colons
//   not_after    of the leaf: seconds since 1970 until which it is valid
struct ServedCertificate {
  std::string host;
  std::string fingerprint;
  std::int64_t not_after = 0;
};

// Ticket keys that were read from files.
//   sealing    lower-case hex of the name of the key that seals, which each ticket shows
//   warnings   for people: a file that others may read, a key that is there twice
struct TicketKeysInUse {
  std::string sealing;
  std::vector<std::string> warnings;
};

class Context {
 public:
  // Errors name the file and what libcrypto said: kInvalidArgument (a file that does not parse, a
  // key that does not match its certificate), kSystem (a file that cannot be read). A host's name
  // that is malformed or given twice is kInvalidArgument, too.
  //
  // `predecessor`: the context of the server role that the new one is to replace, for a reload.
  // Its ticket keys go over, so that sessions are resumed by either of them, where their name has
  // the same host in both, and its self-signed certificate, while that is valid; nothing else. The
  // files are read anew; if that fails, the predecessor is as it was. Handshakes under way keep the
  // context that they began with alive.
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> server(
      const ServerOptions& options, const std::shared_ptr<Context>& predecessor = nullptr);
  [[nodiscard]] static ktls::Result<std::shared_ptr<Context>> client(const ClientOptions& options);

  virtual ~Context() = default;
  // Of the default certificate, as in ServedCertificate; empty in the client role.
  [[nodiscard]] virtual std::string certificate_fingerprint() const = 0;
  // PEM of the default leaf certificate (for a self-signed one: what a client must trust).
  [[nodiscard]] virtual std::string certificate_pem() const = 0;
  // Server role: the default certificate, then those of the hosts in the order of the options, then
  // the others.
  [[nodiscard]] virtual std::vector<ServedCertificate> certificates() const = 0;
  // What was accepted but will not please every peer, for people: a certificate that has expired,
  // or that does not hold the name of its host, or a staple that is not sent.
  [[nodiscard]] virtual const std::vector<std::string>& warnings() const = 0;
  // Server role: from now on the key in the first of `files` (nginx's ssl_session_ticket_key: 48 or
  // 80 random bytes) seals session tickets, and those in all of them open, for this context, those
  // that it follows and those that follow it. Thread-safe. Errors name the file, and leave all as
  // it was: kSystem if it cannot be read, kInvalidArgument if it is of another size, or none.
  [[nodiscard]] virtual ktls::Result<TicketKeysInUse> use_ticket_keys(
      std::span<const std::string> files) = 0;
  // Client role: sessions that can be resumed at present.
  [[nodiscard]] virtual std::size_t session_count() const = 0;
};

}  // namespace tls
