// The settings of an SSL_CTX: versions, suites, hosts, trust, ALPN, sessions.
#include "userspace/handshake/openssl/ssl_context.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <utility>

#include <openssl/err.h>

#include "userspace/handshake/openssl/client_certificates.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/hex.h"
#include "userspace/handshake/openssl/pins.h"
#include "userspace/handshake/openssl/psk_callbacks.h"
#include "userspace/handshake/openssl/record_size_limit.h"
#include "userspace/handshake/openssl/ssl_connection.h"
#include "userspace/handshake/openssl/stapling.h"
#include "userspace/handshake/openssl/suite_settings.h"
#include "userspace/handshake/openssl/trust.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// Sessions of TLS 1.2 clients that know no tickets.
constexpr long kServerSessionsMax = 1024;
constexpr std::string_view kSessionOwner = "ktls-bridge";  // programs of other kinds have others
constexpr std::size_t kSha256Size = 32;
static_assert(kSha256Size <= SSL_MAX_SID_CTX_LENGTH);
// RFC 7301 section 3.1: ProtocolName<1..2^8-1>, ProtocolName protocol_name_list<2..2^16-1>.
constexpr std::size_t kAlpnNameMax = 255;
constexpr std::size_t kAlpnListMax = 65535;

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
  if (auto set = use_suites(options); !set) return set;
  return use_alpn(options.alpn);
}

template <typename Options>
Result<void> SslContext::use_suites(const Options& options) {
  const SuiteChoice choice{.ciphers = options.ciphers,
                           .ciphersuites = options.ciphersuites,
                           .with_psk = !options.psk_file.empty()};
  if (auto set = set_suites(handle(), choice, options.groups); !set) return set;
  if (!choice.with_psk) return {};
  if (options.version_max >= ProtocolVersion::kTls13) {
    if (auto fit = check_psk_suites(choice); !fit) {
      return fail(Error::of(ErrorCode::kInvalidArgument, "ciphersuites: " + fit.error().detail));
    }
  }
  KTLS_TRY(auto suites, offered_suites(choice, ProtocolVersion::kTls13));
  KTLS_TRY(pre_shared_keys_, PreSharedKeys::load(options.psk_file));
  psk_ciphersuites_ = psk_first_list_of(std::move(suites));
  install_psk_callbacks(handle(), role_);
  return {};
}

Result<std::shared_ptr<SslContext>> SslContext::create(const ServerOptions& options,
                                                       const SslContext* predecessor) {
  std::shared_ptr<SslContext> context(new SslContext(Role::kServer));
  if (auto set = context->configure(options); !set) return fail(set.error());
  context->ciphers_ = options.ciphers;
  context->ticket_keys_ =
      predecessor == nullptr ? std::make_shared<TicketKeys>() : predecessor->ticket_keys_;
  // Ours is the choice, but for who prefers ChaCha20: it has no AES in hardware.
  SSL_CTX_set_options(context->handle(),
                      SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  context->resume_sessions(options.tickets);
  if (auto asked = context->ask_clients(options); !asked) return fail(asked.error());
  if (context->pre_shared_keys_) context->client_trust_ += context->pre_shared_keys_->digest();
  if (!options.is_psk_only()) {
    const Hosts* const replaced = predecessor == nullptr ? nullptr : &predecessor->hosts_;
    KTLS_TRY(context->hosts_, Hosts::load(options, context->handle(), replaced));
  }
  context->add_warnings(context->hosts_.warnings());
  context->take_warnings_of_keys();
  SSL_CTX_set_client_hello_cb(context->handle(), on_client_hello, context.get());
  staple_on_request(context->handle());
  return context;
}

Result<std::shared_ptr<SslContext>> SslContext::create(const ClientOptions& options) {
  std::shared_ptr<SslContext> context(new SslContext(Role::kClient));
  if (auto set = context->configure(options); !set) return fail(set.error());
  // Our cache, since libssl's finds sessions by id, which a client does not know beforehand.
  SSL_CTX_set_session_cache_mode(context->handle(),
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (auto set = context->use_trust(options); !set) return fail(set.error());
  context->take_warnings_of_keys();
  KTLS_TRY(const auto warnings, show_to_servers(context->handle(), options.certificates));
  context->add_warnings(warnings);
  return context;
}

void SslContext::take_warnings_of_keys() {
  if (pre_shared_keys_) add_warnings(pre_shared_keys_->warnings());
}

void SslContext::resume_sessions(unsigned tickets) {
  SSL_CTX_set_num_tickets(handle(), tickets);
  if (tickets == 0) {
    // Without tickets libssl looks in its cache, for TLS 1.3 as well.
    SSL_CTX_set_options(handle(), SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(handle(), SSL_SESS_CACHE_OFF);
  } else {
    SSL_CTX_set_session_cache_mode(handle(), SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(handle(), kServerSessionsMax);
    SSL_CTX_set_timeout(handle(), std::chrono::seconds(kSessionLifetime).count());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(handle(), on_ticket);
    SSL_CTX_set_session_ticket_cb(handle(), nullptr, on_opened_ticket, nullptr);
  }
  // SSL_CTX_set_tlsext_servername_callback(), whose macro casts as C does.
  SSL_CTX_callback_ctrl(handle(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                        reinterpret_cast<void (*)()>(accept_server_name));
}

// The callback of the ClientHello and not that of the server name, which libssl calls when it has
// resumed a session already.
int SslContext::on_client_hello(SSL* ssl, int* alert, void* context) noexcept {
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  std::string server_name;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) == 1) {
    server_name = canonical_name(server_name_in({extension, size}));
  }
  SslConnection* const connection = SslConnection::of(ssl);
  if (connection != nullptr &&
      static_cast<const SslContext*>(context)->choose_host(*connection, server_name)) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

// Called once more for the ClientHello after a HelloRetryRequest, which may be of any client's
// making: then the second name is the one that counts, for libssl as well.
bool SslContext::choose_host(SslConnection& connection, std::string_view server_name) const {
  if (pre_shared_keys_ &&
      !prefer_psk_hash(connection.ssl(), *pre_shared_keys_, psk_ciphersuites_)) {
    return false;
  }
  const Hosts::Choice choice = hosts_.choose(server_name);
  if (choice.certificates != connection.choice().certificates &&
      !hosts_.show(choice.certificates, connection.ssl())) {
    return false;
  }
  connection.choose(choice);
  return bind_sessions(connection.ssl(), hosts_.name(choice.host), server_name);
}

// By the session id context, which is part of the session and of its ticket, libssl resumes what is
// of the same name at the same host and no more, and in whose first handshake the client was asked
// for what it would be asked for now. RFC 6066 section 3: a server "MUST NOT accept the
// request to resume the session if the server_name extension contains a different name", which
// libssl does not look at. Nor does it ask whether the suite of a TLS 1.2 session may still be
// chosen, which after a reload it may not be.
bool SslContext::bind_sessions(SSL* ssl, std::string_view host,
                               std::string_view server_name) const {
  std::string bound(kSessionOwner);
  for (const std::string_view part :
       {std::string_view(ciphers_), std::string_view(client_trust_), host, server_name}) {
    bound.append(1, '\0').append(part);
  }
  std::array<unsigned char, kSha256Size> digest{};
  unsigned int size = 0;
  return EVP_Digest(bound.data(), bound.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1 &&
         SSL_set_session_id_context(ssl, digest.data(), size) == 1;
}

// SSL_CTX_set_tlsext_ticket_key_evp_cb(3) has the answers: 1 goes on, 2 goes on with a new ticket,
// 0 has a full handshake, a negative one ends it.
int SslContext::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int seals) noexcept {
  const SslConnection* const connection = SslConnection::of(ssl);
  if (connection == nullptr) return -1;
  TicketKeys& keys = *connection->context().ticket_keys_;
  const std::span<unsigned char, TicketKeys::kNameSize> key_name(name, TicketKeys::kNameSize);
  const std::span<unsigned char, TicketKeys::kIvSize> key_iv(iv, TicketKeys::kIvSize);
  if (seals != 0) return keys.seal(key_name, key_iv, cipher, mac) ? 1 : -1;
  const auto found = keys.open(key_name, key_iv, cipher, mac);
  if (!found) return -1;
  if (*found == TicketKeys::Found::kNone) return 0;
  // RFC 8446 appendix C.4: "Clients SHOULD NOT reuse a ticket for multiple connections", and so
  // need a new one for each.
  const bool renews = *found == TicketKeys::Found::kPrevious || SSL_version(ssl) == TLS1_3_VERSION;
  return renews ? 2 : 1;
}

// Whoever may not begin a session any more may not go on with one: each ticket of TLS 1.3 brings
// another, which would never end. libssl looks at the certificate in a full handshake alone.
SSL_TICKET_RETURN SslContext::on_opened_ticket(SSL* /*ssl*/, SSL_SESSION* session,
                                               const unsigned char* /*name*/,
                                               std::size_t /*name_size*/, SSL_TICKET_STATUS status,
                                               void* /*argument*/) noexcept {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  const X509* const peer = SSL_SESSION_get0_peer(session);
  if (peer != nullptr && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  }
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

Result<TicketKeysInUse> SslContext::use_ticket_keys(std::span<const std::string> files) {
  if (!ticket_keys_ || files.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          "session ticket keys are a server's, and there is one at least"));
  }
  KTLS_TRY(TicketKeyFiles read, read_ticket_keys(files));
  TicketKeysInUse in_use{.sealing = hex_of(read.keys.front().name, ':'),
                         .warnings = std::move(read.warnings)};
  ticket_keys_->use(std::move(read.keys));
  return in_use;
}

std::string SslContext::certificate_fingerprint() const {
  const auto served = hosts_.certificates();
  return served.empty() ? std::string() : served[Hosts::kDefault].fingerprint;
}

Result<void> SslContext::use_trust(const ClientOptions& options) {
  verify_ = options.verify;
  SSL_CTX_set_verify(handle(), verify_ ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  pins_ = options.pins;
  if (!pins_.empty()) require_pins(handle());
  if (options.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(handle()) != 1) {
      return fail(openssl_error(ErrorCode::kCrypto, "the system's trust store"));
    }
    return {};
  }
  auto trusted = trust(handle(), options.ca_file, options.crl_file);
  if (!trusted) return fail(std::move(trusted).error());
  add_warnings(trusted->warnings);
  return {};
}

Result<void> SslContext::ask_clients(const ServerOptions& options) {
  if (options.client_ca_file.empty()) return {};
  KTLS_TRY(Trust trusted, trust(handle(), options.client_ca_file, options.client_crl_file));
  add_warnings(trusted.warnings);
  client_trust_ = std::move(trusted.digest);
  const bool is_required = options.client_authentication == ClientAuthentication::kRequired;
  client_trust_ += is_required ? "required" : "optional";
  SSL_CTX_set_verify(
      handle(), SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
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

Result<std::shared_ptr<Context>> Context::server(const ServerOptions& options,
                                                 const std::shared_ptr<Context>& predecessor) {
  const auto* const replaced = dynamic_cast<const SslContext*>(predecessor.get());
  if (predecessor && (replaced == nullptr || replaced->role() != Role::kServer)) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "a predecessor of the other role"));
  }
  return SslContext::create(options, replaced);
}

Result<std::shared_ptr<Context>> Context::client(const ClientOptions& options) {
  return SslContext::create(options);
}

}  // namespace tls
