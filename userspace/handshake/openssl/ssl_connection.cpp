// The SSL object's set-up by role, its BIOs and its callbacks.
#include "userspace/handshake/openssl/ssl_connection.h"

#include <array>
#include <utility>

#include <arpa/inet.h>
#include <openssl/err.h>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

int connection_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// The 4 or 16 bytes of an IP address; empty for a name.
std::span<const std::uint8_t> parse_address(const std::string& name,
                                            std::array<std::uint8_t, 16>& bytes) {
  if (::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
  if (::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
  return {};
}

// SSL_set_tlsext_host_name(), whose macro casts as C does.
bool send_sni(SSL* ssl, std::string name) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
}

// A leading dot would make libcrypto accept every subdomain (X509_check_host(3)); libssl reads
// names as C strings, so a NUL would hide the rest.
bool plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('\0') == std::string::npos;
}

}  // namespace

Result<std::unique_ptr<SslConnection>> SslConnection::create(std::shared_ptr<SslContext> context,
                                                             const std::string& server_name) {
  ERR_clear_error();
  SslPtr ssl(SSL_new(context->handle()));
  BioPtr input(BIO_new(BIO_s_mem()));
  BioPtr output(BIO_new(BIO_s_mem()));
  if (!ssl || !input || !output) return fail(openssl_error(ErrorCode::kCrypto, "SSL_new"));
  // An empty input means "not yet", never the end: truncation is the transport's to report.
  BIO_set_mem_eof_return(input.get(), -1);
  SSL_set_bio(ssl.get(), input.release(), output.release());

  std::unique_ptr<SslConnection> connection(new SslConnection(std::move(context), std::move(ssl)));
  if (SSL_set_ex_data(connection->ssl(), connection_index(), connection.get()) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "SSL_set_ex_data"));
  }
  if (connection->context().role() == Role::kServer) {
    SSL_set_accept_state(connection->ssl());
    return connection;
  }
  SSL_set_connect_state(connection->ssl());
  if (auto set = connection->expect_peer(server_name); !set) return fail(set.error());
  connection->offer_session();
  return connection;
}

SslConnection::~SslConnection() {
  observer_ = nullptr;
  // Without both flags SSL_free() takes the session for one that was cut off and marks it as not
  // to be resumed (SSL_free(3)); how the connection ends is not this object's to know.
  if (SSL_is_init_finished(ssl_.get()) != 0) {
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

Result<void> SslConnection::expect_peer(std::string server_name) {
  // RFC 6066 section 3: the name in SNI has no trailing dot, nor has the one in a certificate.
  if (server_name.size() > 1 && server_name.back() == '.') server_name.pop_back();
  if (server_name.empty() && !context_->verify()) return {};
  if (!plain_name(server_name)) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          "a server name or address is needed that a certificate can hold"));
  }
  server_name_ = std::move(server_name);

  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl());
  X509_VERIFY_PARAM_set_hostflags(param, kNameCheckFlags);
  std::array<std::uint8_t, 16> bytes{};
  const auto address = parse_address(server_name_, bytes);
  const int set = address.empty()
                      ? X509_VERIFY_PARAM_set1_host(param, server_name_.data(), server_name_.size())
                      : X509_VERIFY_PARAM_set1_ip(param, address.data(), address.size());
  // RFC 6066 section 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"".
  if (set != 1 || (address.empty() && !send_sni(ssl(), server_name_))) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "server name " + server_name_));
  }
  return {};
}

// A resumed handshake shows no certificate, so a session may only be used for the name that was
// verified when it was made, and only by those who verify as it did.
void SslConnection::offer_session() {
  session_key_ = context_->verify() ? "verified\n" : "unverified\n";
  session_key_ += server_name_;
  for (const auto& protocol : context_->alpn()) session_key_.append("\n").append(protocol);
  if (server_name_.empty()) return;
  if (const SessionPtr session = context_->sessions().take(session_key_)) {
    // A session that libssl does not like costs a full handshake, no more.
    if (SSL_set_session(ssl(), session.get()) != 1) ERR_clear_error();
  }
}

Result<void> SslConnection::feed(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return {};
  std::size_t written = 0;
  if (BIO_write_ex(SSL_get_rbio(ssl()), bytes.data(), bytes.size(), &written) != 1 ||
      written != bytes.size()) {
    return fail(openssl_error(ErrorCode::kCrypto, "BIO_write_ex"));
  }
  return {};
}

bool SslConnection::all_consumed() const {
  return BIO_ctrl_pending(SSL_get_rbio(ssl())) == 0 && SSL_has_pending(ssl()) == 0;
}

std::vector<std::uint8_t> SslConnection::drain() {
  BIO* const output = SSL_get_wbio(ssl());
  std::vector<std::uint8_t> bytes(BIO_ctrl_pending(output));
  std::size_t read = 0;
  if (!bytes.empty() && BIO_read_ex(output, bytes.data(), bytes.size(), &read) != 1) read = 0;
  bytes.resize(read);
  return bytes;
}

void SslConnection::install_callbacks(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, on_keylog);
  SSL_CTX_set_msg_callback(context, on_message);
  SSL_CTX_sess_set_new_cb(context, on_new_session);
}

SslConnection* SslConnection::of(const SSL* ssl) {
  return static_cast<SslConnection*>(SSL_get_ex_data(ssl, connection_index()));
}

void SslConnection::on_keylog(const SSL* ssl, const char* line) noexcept {
  const SslConnection* const connection = of(ssl);
  if (connection == nullptr) return;
  if (connection->observer_ != nullptr) connection->observer_->keylog_line(line);
  if (const auto& sink = connection->context().keylog()) sink(line);
}

int SslConnection::on_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
  const SslConnection* const connection = of(ssl);
  if (connection != nullptr && !connection->server_name().empty()) {
    connection->context().sessions().put(connection->session_key(), session);
  }
  return 0;  // the reference stays libssl's: the cache keeps a copy
}

void SslConnection::on_message(int written, int /*version*/, int type, const void* bytes,
                               std::size_t size, SSL* ssl, void* /*argument*/) noexcept {
  const SslConnection* const connection = of(ssl);
  if (connection == nullptr || connection->observer_ == nullptr) return;
  connection->observer_->message(written != 0, type,
                                 {static_cast<const std::uint8_t*>(bytes), size});
}

}  // namespace tls
