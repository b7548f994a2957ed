// The ends of test handshakes, and how bytes get from one to the other.
#include "tests/unit/userspace/handshake/peers.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>
#include <utility>
#include <variant>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "ktls/base/endian.h"

namespace tls::test {
namespace {

Bytes drain(BIO* bio) {
  Bytes bytes(BIO_ctrl_pending(bio));
  if (!bytes.empty()) {
    const int read = BIO_read(bio, bytes.data(), static_cast<int>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(std::max(read, 0)));
  }
  return bytes;
}

template <typename T>
T expect(ktls::Result<T> result, const char* what) {
  if (!result) {
    ADD_FAILURE() << what << ": " << result.error().message();
    throw std::runtime_error(what);
  }
  return std::move(*result);
}

}  // namespace

Bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

std::string to_text(std::span<const std::uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

Bytes take_record(Bytes& stream) {
  if (stream.size() < kRecordHeaderSize) return {};
  const std::size_t size = kRecordHeaderSize + ktls::load_big_endian<std::uint16_t>(&stream[3]);
  if (stream.size() < size) return {};
  Bytes record(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
  stream.erase(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
  return record;
}

void converse(Peer& client, Peer& server) {
  for (;;) {
    const Bytes to_server = client.take_output();
    if (!to_server.empty()) server.receive(to_server);
    const Bytes to_client = server.take_output();
    if (!to_client.empty()) client.receive(to_client);
    if (to_server.empty() && to_client.empty()) return;
  }
}

OurPeer::OurPeer(const std::shared_ptr<Context>& context, Role role, const std::string& name)
    : context_(context),
      handshake_(expect(Handshake::create(context, role, name), "Handshake::create")) {
  progress_ = handshake_->advance({});
}

void OurPeer::receive(const Bytes& bytes) {
  inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
  while (progress_ && *progress_ && !done()) {
    const Bytes record = take_record(inbox_);
    if (record.empty()) return;
    progress_ = handshake_->advance(record);
  }
}

Bytes OurPeer::take_output() {
  return handshake_->take_output();
}

LibsslPeer::LibsslPeer(SSL_CTX* context, Role role, const std::string& name, SSL_SESSION* session)
    : ssl_(SSL_new(context)) {
  BIO* const input = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(input, -1);
  SSL_set_bio(ssl(), input, BIO_new(BIO_s_mem()));
  if (role == Role::kServer) {
    SSL_set_accept_state(ssl());
    return;
  }
  SSL_set_connect_state(ssl());
  std::string sni = name;
  SSL_ctrl(ssl(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.data());
  if (session != nullptr) {
    EXPECT_EQ(SSL_set_session(ssl(), session), 1);
  }
  SSL_do_handshake(ssl());
}

void LibsslPeer::receive(const Bytes& bytes) {
  BIO_write(SSL_get_rbio(ssl()), bytes.data(), static_cast<int>(bytes.size()));
  if (!done()) SSL_do_handshake(ssl());
  ERR_clear_error();
}

Bytes LibsslPeer::take_output() {
  return drain(SSL_get_wbio(ssl()));
}

Bytes LibsslPeer::write(std::string_view text) {
  EXPECT_EQ(SSL_write(ssl(), text.data(), static_cast<int>(text.size())),
            static_cast<int>(text.size()));
  return drain(SSL_get_wbio(ssl()));
}

std::string LibsslPeer::read(const Bytes& wire) {
  BIO_write(SSL_get_rbio(ssl()), wire.data(), static_cast<int>(wire.size()));
  std::string text;
  std::array<char, 16384> buffer{};
  for (;;) {
    const int read = SSL_read(ssl(), buffer.data(), buffer.size());
    if (read <= 0) {
      if (SSL_get_error(ssl(), read) != SSL_ERROR_WANT_READ) text = "error";
      ERR_clear_error();
      return text;
    }
    text.append(buffer.data(), static_cast<std::size_t>(read));
  }
}

Bytes wire_of_limit(unsigned limit) {
  return {static_cast<std::uint8_t>(limit >> 8), static_cast<std::uint8_t>(limit)};
}

void RecordSizeExtension::add_to(SSL_CTX* context) {
  const auto add = [](SSL*, unsigned, unsigned, const unsigned char** bytes, std::size_t* size,
                      X509*, std::size_t, int*, void* self) {
    const auto& limit = static_cast<RecordSizeExtension*>(self)->sent;
    if (!limit) return 0;
    *bytes = limit->data();
    *size = limit->size();
    return 1;
  };
  const auto parse = [](SSL*, unsigned, unsigned, const unsigned char* bytes, std::size_t size,
                        X509*, std::size_t, int*, void* self) {
    static_cast<RecordSizeExtension*>(self)->received = Bytes(bytes, bytes + size);
    return 1;
  };
  constexpr unsigned kType = 28;
  constexpr unsigned kMessages =
      SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS;
  EXPECT_EQ(SSL_CTX_add_custom_ext(context, kType, kMessages, add, nullptr, this, parse, this), 1);
}

Connection::Connection(Handshake::Finished finished)
    : negotiated_(std::move(finished.negotiated)),
      post_handshake_(std::move(finished.post_handshake)) {
  layer_.set_fragment_size_max(negotiated_.fragment_size_max);
  layer_.set_pending_read(std::move(negotiated_.read));
  layer_.set_pending_write(std::move(negotiated_.write));
  EXPECT_TRUE(layer_.change_read_state());
  EXPECT_TRUE(layer_.change_write_state());
}

Bytes Connection::seal(ContentType type, std::span<const std::uint8_t> content) {
  Bytes wire(layer_.sealed_size(content.size()));
  wire.resize(expect(layer_.seal(type, content, wire), "seal"));
  return wire;
}

std::string Connection::open(Bytes wire) {
  layer_.feed(wire);
  std::string text;
  for (;;) {
    const auto next = layer_.next_record();
    if (!next) return "error: " + next.error().message();
    const auto* record = std::get_if<Record>(&*next);
    if (record == nullptr) return text;
    if (record->type == ContentType::kApplicationData) {
      text += to_text(record->content);
    } else if (record->type == ContentType::kHandshake) {
      const auto events = post_handshake_->receive(record->content);
      if (!events) return "error: " + events.error().message();
      events_.insert(events_.end(), events->begin(), events->end());
    }
  }
}

void Connection::rekey_read() {
  negotiated_.read_secret =
      expect(derive_next_traffic_secret(*negotiated_.suite, negotiated_.read_secret), "secret");
  auto keys = expect(derive_traffic_keys(*negotiated_.suite, negotiated_.read_secret), "keys");
  layer_.set_pending_read(expect(
      ConnectionState::create(negotiated_.version, *negotiated_.suite, std::move(keys)), "state"));
  EXPECT_TRUE(layer_.change_read_state());
}

Connection finish(OurPeer& peer) {
  if (peer.failed()) {
    ADD_FAILURE() << peer.error().message();
    throw std::runtime_error("handshake");
  }
  return Connection(expect(peer.handshake().finish(), "finish"));
}

Pki::Pki() : ca_file(directory.write("ca.pem", authority.certificate_pem())) {}

ServerOptions Pki::serve(const LeafOptions& leaf) const {
  static std::atomic<int> count = 0;
  const std::string file = "leaf" + std::to_string(++count);
  const Issued issued = authority.issue(leaf);
  ServerOptions options;
  options.certificate_file = directory.write(file + ".pem", issued.certificate_pem);
  options.key_file = directory.write(file + "-key.pem", issued.key_pem);
  return options;
}

ClientOptions Pki::trust() const {
  ClientOptions options;
  options.ca_file = ca_file;
  return options;
}

const Pki& pki() {
  static const Pki shared;
  return shared;
}

std::shared_ptr<Context> make_server(const ServerOptions& options) {
  return expect(Context::server(options), "Context::server");
}

std::shared_ptr<Context> make_client(const ClientOptions& options) {
  return expect(Context::client(options), "Context::client");
}

std::vector<KeyKind> key_kinds(const CipherSuite& suite) {
  if (suite.serves(ProtocolVersion::kTls13)) return {KeyKind::kEcdsa, KeyKind::kRsa};
  const bool ecdsa = suite.name.find("ECDSA") != std::string_view::npos;
  return {ecdsa ? KeyKind::kEcdsa : KeyKind::kRsa};
}

SslCtxPtr libssl_server(const ServerOptions& options) {
  SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), options.certificate_file.c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM),
            1);
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("test"), 4);
  return context;
}

SslCtxPtr libssl_client() {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
  return context;
}

}  // namespace tls::test
