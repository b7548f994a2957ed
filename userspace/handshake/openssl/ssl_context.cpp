// The settings of an SSL_CTX: versions, suites, credentials, trust, ALPN, sessions.
#include "userspace/handshake/openssl/ssl_context.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <openssl/err.h>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/handshake/openssl/record_size_limit.h"
#include "userspace/handshake/openssl/ssl_connection.h"
#include "userspace/suite/cipher_suite.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// One ticket for the next connection and one for a parallel one (RFC 8446 appendix C.4).
constexpr std::size_t kTicketsPerConnection = 2;
// Sessions of TLS 1.2 clients that know no tickets.
constexpr long kServerSessionsMax = 1024;
// Whose sessions these are (SSL_CTX_set_session_id_context(3)); programs of other kinds have
// others.
constexpr std::array<unsigned char, 11> kSessionIdContext = {'k', 't', 'l', 's', '-', 'b',
                                                             'r', 'i', 'd', 'g', 'e'};
// RFC 7301 section 3.1: ProtocolName<1..2^8-1>, ProtocolName protocol_name_list<2..2^16-1>.
constexpr std::size_t kAlpnNameMax = 255;
constexpr std::size_t kAlpnListMax = 65535;

// The suites of one version, as SSL_CTX_set_cipher_list(3) and
// SSL_CTX_set_ciphersuites(3) take them: what cannot be handed over is not offered.
std::string names_of_suites(ProtocolVersion version) {
  std::string names;
  for (const CipherSuite* suite : handshake_suites()) {
    if (!suite->serves(version)) continue;
    if (!names.empty()) names += ':';
    names += libssl_name_of(*suite);
  }
  return names;
}

Result<void> set_ciphers(SSL_CTX* context, const std::string& ciphers,
                         const std::string& ciphersuites) {
  const std::string list = ciphers.empty() ? names_of_suites(ProtocolVersion::kTls12) : ciphers;
  if (SSL_CTX_set_cipher_list(context, list.c_str()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "ciphers \"" + list + "\""));
  }
  const std::string suites =
      ciphersuites.empty() ? names_of_suites(ProtocolVersion::kTls13) : ciphersuites;
  if (SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "ciphersuites \"" + suites + "\""));
  }
  return {};
}

// What would move a sequence number, or a key, behind our back after the hand-over, or have libssl
// take more from its input than the record it is working on.
void keep_counts_true(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_clear_options(context, SSL_OP_NO_TICKET | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
  SSL_CTX_set_post_handshake_auth(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);
  SSL_CTX_set_read_ahead(context, 0);
}

// Accepting SNI makes libssl keep the name with the session, so that SSL_get_servername() knows it
// after a resumed TLS 1.2 handshake, too.
int accept_server_name(SSL* /*ssl*/, int* /*alert*/, void* /*argument*/) {
  return SSL_TLSEXT_ERR_OK;
}

Result<void> resume_sessions(SSL_CTX* context) {
  if (SSL_CTX_set_session_id_context(context, kSessionIdContext.data(), kSessionIdContext.size()) !=
          1 ||
      SSL_CTX_set_num_tickets(context, kTicketsPerConnection) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "session id context"));
  }
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(context, kServerSessionsMax);
  // SSL_CTX_set_tlsext_servername_callback(), whose macro casts as C does.
  SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(accept_server_name));
  return {};
}

}  // namespace

template <typename Options>
Result<void> SslContext::configure(const Options& options) {
  ERR_clear_error();
  const bool server = role_ == Role::kServer;
  handle_.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (!handle_) return fail(openssl_error(ErrorCode::kCrypto, "SSL_CTX_new"));
  if (options.version_min > options.version_max ||
      SSL_CTX_set_min_proto_version(handle(), static_cast<int>(options.version_min)) != 1 ||
      SSL_CTX_set_max_proto_version(handle(), static_cast<int>(options.version_max)) != 1) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "the range of versions is empty"));
  }
  keep_counts_true(handle());
  SslConnection::install_callbacks(handle());
  if (auto added = add_record_size_limit(handle()); !added) return added;
  keylog_ = options.keylog;
  if (auto set = set_ciphers(handle(), options.ciphers, options.ciphersuites); !set) return set;
  return use_alpn(options.alpn);
}

Result<std::shared_ptr<SslContext>> SslContext::create(const ServerOptions& options) {
  std::shared_ptr<SslContext> context(new SslContext(Role::kServer));
  if (auto set = context->configure(options); !set) return fail(set.error());
  if (auto set = resume_sessions(context->handle()); !set) return fail(set.error());
  if (auto set = context->use_credentials(options); !set) return fail(set.error());
  return context;
}

Result<std::shared_ptr<SslContext>> SslContext::create(const ClientOptions& options) {
  std::shared_ptr<SslContext> context(new SslContext(Role::kClient));
  if (auto set = context->configure(options); !set) return fail(set.error());
  // Our cache, since libssl's finds sessions by id, which a client does not know beforehand.
  SSL_CTX_set_session_cache_mode(context->handle(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (auto set = context->use_trust(options); !set) return fail(set.error());
  return context;
}

Result<void> SslContext::use_credentials(const ServerOptions& options) {
  if (options.certificate_file.empty() && !options.key_file.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          options.key_file + ": a key without a certificate file"));
  }
  KTLS_TRY(Credentials credentials,
           options.certificate_file.empty()
               ? make_self_signed_credentials()
               : load_credentials(options.certificate_file, options.key_file));
  if (SSL_CTX_use_cert_and_key(handle(), credentials.leaf.get(), credentials.key.get(),
                               credentials.chain.get(), 1) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument,
                              options.certificate_file + ": libssl refuses the certificate"));
  }
  fingerprint_ = fingerprint_of(credentials.leaf.get());
  pem_ = pem_of(credentials.leaf.get());
  warnings_ = std::move(credentials.warnings);
  return {};
}

Result<void> SslContext::use_trust(const ClientOptions& options) {
  verify_ = options.verify;
  SSL_CTX_set_verify(handle(), verify_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (options.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(handle()) != 1) {
      return fail(openssl_error(ErrorCode::kCrypto, "the system's trust store"));
    }
    return {};
  }
  // Opened first for the errno; libcrypto then reads the file by its name.
  if (auto opened = open_file(options.ca_file); !opened) return fail(opened.error());
  if (SSL_CTX_load_verify_file(handle(), options.ca_file.c_str()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument,
                              options.ca_file + ": holds no PEM certificate to trust"));
  }
  return {};
}

Result<void> SslContext::use_alpn(const std::vector<std::string>& protocols) {
  for (const auto& protocol : protocols) {
    if (protocol.empty() || protocol.size() > kAlpnNameMax) {
      return fail(Error::of(ErrorCode::kInvalidArgument,
                            "an ALPN protocol name has 1 to 255 bytes (RFC 7301 section 3.1)"));
    }
    alpn_wire_.push_back(static_cast<unsigned char>(protocol.size()));
    alpn_wire_.insert(alpn_wire_.end(), protocol.begin(), protocol.end());
  }
  alpn_ = protocols;
  if (protocols.empty()) return {};
  if (alpn_wire_.size() > kAlpnListMax) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "too many ALPN protocols"));
  }
  if (role_ == Role::kServer) {
    SSL_CTX_set_alpn_select_cb(handle(), select_alpn, this);
  } else if (SSL_CTX_set_alpn_protos(handle(), alpn_wire_.data(),
                                     static_cast<unsigned int>(alpn_wire_.size())) != 0) {
    return fail(openssl_error(ErrorCode::kCrypto, "SSL_CTX_set_alpn_protos"));
  }
  return {};
}

// The first of our protocols that the client offers. RFC 7301 section 3.2: "In the event that the
// server supports no protocols that the client advertises, then the server SHALL respond with a
// fatal "no_application_protocol" alert."
int SslContext::select_alpn(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size,
                            const unsigned char* offered, unsigned int offered_size,
                            void* context) {
  const auto& ours = static_cast<const SslContext*>(context)->alpn_;
  for (const auto& protocol : ours) {
    std::span<const unsigned char> rest(offered, offered_size);
    while (!rest.empty() && rest[0] < rest.size()) {
      const auto name = rest.subspan(1, rest[0]);
      rest = rest.subspan(1 + name.size());
      if (!std::ranges::equal(name, std::span(protocol), {}, {},
                              [](char c) { return static_cast<unsigned char>(c); })) {
        continue;
      }
      *chosen = name.data();
      *chosen_size = static_cast<unsigned char>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<std::shared_ptr<Context>> Context::server(const ServerOptions& options) {
  return SslContext::create(options);
}

Result<std::shared_ptr<Context>> Context::client(const ClientOptions& options) {
  return SslContext::create(options);
}

}  // namespace tls
