// Two ends of a handshake in memory, record by record: ours, and plain libssl as a third party.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/certificates.h"
#include "userspace/handshake/openssl/handshake.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/record/record_layer.h"

namespace tls::test {

using Bytes = std::vector<std::uint8_t>;

[[nodiscard]] Bytes to_bytes(std::string_view text);
[[nodiscard]] std::string to_text(std::span<const std::uint8_t> bytes);

// Takes the first whole record off `stream`; empty if there is none.
[[nodiscard]] Bytes take_record(Bytes& stream);

// One end of a connection: bytes in, bytes out.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual void receive(const Bytes& bytes) = 0;
  [[nodiscard]] virtual Bytes take_output() = 0;
};

// Carries bytes both ways until nobody has any more; `client` speaks first.
void converse(Peer& client, Peer& server);

// Our Handshake. Records that arrive after kDone wait in inbox().
class OurPeer : public Peer {
 public:
  OurPeer(const std::shared_ptr<Context>& context, Role role, const std::string& name = {});

  void receive(const Bytes& bytes) override;
  [[nodiscard]] Bytes take_output() override;

  [[nodiscard]] const Context& context() const { return *context_; }
  [[nodiscard]] Handshake& handshake() { return *handshake_; }
  [[nodiscard]] bool done() const {
    return progress_ && *progress_ && **progress_ == Handshake::Progress::kDone;
  }
  [[nodiscard]] bool failed() const { return progress_ && !*progress_; }
  [[nodiscard]] const ktls::Error& error() const { return progress_->error(); }
  [[nodiscard]] Bytes& inbox() { return inbox_; }

 private:
  std::shared_ptr<Context> context_;
  std::unique_ptr<Handshake> handshake_;
  std::optional<ktls::Result<Handshake::Progress>> progress_;
  Bytes inbox_;
};

// libssl as programs use it.
class LibsslPeer : public Peer {
 public:
  // Client role: `session`, if given, is offered.
  LibsslPeer(SSL_CTX* context, Role role, const std::string& name = {},
             SSL_SESSION* session = nullptr);

  void receive(const Bytes& bytes) override;
  [[nodiscard]] Bytes take_output() override;

  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  [[nodiscard]] bool done() const { return SSL_is_init_finished(ssl_.get()) != 0; }
  [[nodiscard]] Bytes write(std::string_view text);
  // What libssl reads of `wire`, or "error" if it objects.
  [[nodiscard]] std::string read(const Bytes& wire);

 private:
  SslPtr ssl_;
};

// record_size_limit (RFC 8449) for a libssl peer: what it sends, if anything, and what it got.
struct RecordSizeExtension {
  std::optional<Bytes> sent;
  std::optional<Bytes> received;

  // Outlives the connections of `context`.
  void add_to(SSL_CTX* context);
};
[[nodiscard]] Bytes wire_of_limit(unsigned limit);

// A finished connection of ours: the states in a record layer.
class Connection {
 public:
  explicit Connection(Handshake::Finished finished);

  [[nodiscard]] Bytes seal(ContentType type, std::span<const std::uint8_t> content);
  [[nodiscard]] Bytes seal(std::string_view text) {
    return seal(ContentType::kApplicationData, to_bytes(text));
  }
  // Opens all records of `wire`: handshake records go to the PostHandshake, application data is
  // answered. "error: ..." if a record does not open.
  [[nodiscard]] std::string open(Bytes wire);

  // What a KeyUpdate of the peer asks for: the next key from the next record on.
  void rekey_read();

  [[nodiscard]] const Negotiated& negotiated() const { return negotiated_; }
  [[nodiscard]] PostHandshake& post_handshake() { return *post_handshake_; }
  [[nodiscard]] const std::vector<PostHandshakeEvent>& events() const { return events_; }

 private:
  Negotiated negotiated_;
  std::unique_ptr<PostHandshake> post_handshake_;
  RecordLayer layer_;
  std::vector<PostHandshakeEvent> events_;
};

// Finishes `peer`; reports a failure as a test failure and throws.
[[nodiscard]] Connection finish(OurPeer& peer);

// What most tests need: an authority, a server.test certificate of each kind, and their files.
struct Pki {
  Pki();
  TestAuthority authority;
  TemporaryDirectory directory;
  std::string ca_file;

  // Writes the leaf and its key to files and answers server options with them.
  [[nodiscard]] ServerOptions serve(const LeafOptions& leaf) const;
  [[nodiscard]] ClientOptions trust() const;
};
[[nodiscard]] const Pki& pki();

[[nodiscard]] std::shared_ptr<Context> make_server(const ServerOptions& options);
[[nodiscard]] std::shared_ptr<Context> make_client(const ClientOptions& options);

// The certificates that serve a suite: TLS 1.3 suites do not say which.
[[nodiscard]] std::vector<KeyKind> key_kinds(const CipherSuite& suite);

template <typename Options>
[[nodiscard]] Options only_version(Options options, ProtocolVersion version) {
  options.version_min = options.version_max = version;
  return options;
}

template <typename Options>
[[nodiscard]] Options only(Options options, const CipherSuite& suite) {
  (suite.serves(ProtocolVersion::kTls13) ? options.ciphersuites : options.ciphers) =
      libssl_name_of(suite);
  return only_version(std::move(options), suite.version_max);
}

// An SSL_CTX as programs make it: libssl's defaults, and the certificate of `options`.
[[nodiscard]] SslCtxPtr libssl_server(const ServerOptions& options);
[[nodiscard]] SslCtxPtr libssl_client();

}  // namespace tls::test
