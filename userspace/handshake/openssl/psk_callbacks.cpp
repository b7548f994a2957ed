// libssl's callbacks for pre-shared keys, and the sessions that stand for them in TLS 1.3.
#include "userspace/handshake/openssl/psk_callbacks.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include <openssl/err.h>

#include "ktls/base/endian.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/handshake/openssl/ssl_connection.h"
#include "userspace/handshake/openssl/ssl_context.h"
#include "userspace/handshake/openssl/suite_list.h"

namespace tls {
namespace {

using Key = PreSharedKeys::Key;

static_assert(PreSharedKeys::kIdentitySizeMax == PSK_MAX_IDENTITY_LEN &&
              PreSharedKeys::kKeySizeMax == PSK_MAX_PSK_LEN);

// The suite that libssl is told an external PSK is for: its hash is all that counts.
constexpr std::array<std::uint8_t, 2> kPskSuite = {0x13, 0x01};

// Marks the sessions that are made here. Copies of libssl's keep the mark, tickets do not.
int mark_index() {
  static const int index = SSL_SESSION_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
char mark = 0;

const PreSharedKeys* keys_of(const SSL* ssl) {
  const SslConnection* const connection = SslConnection::of(ssl);
  return connection == nullptr ? nullptr : connection->context().pre_shared_keys();
}

bool is_tls13(const SSL_CIPHER* cipher) {
  const auto* const suite =
      find_cipher_suite(static_cast<std::uint16_t>(SSL_CIPHER_get_protocol_id(cipher)));
  return suite != nullptr && suite->serves(ProtocolVersion::kTls13);
}

// The identity goes into the session's ticket, so that who resumes it is known by it.
SessionPtr make_session(SSL* ssl, std::string_view identity, const Key& key) {
  SessionPtr session(SSL_SESSION_new());
  const bool made =
      session &&
      SSL_SESSION_set1_master_key(session.get(), key.bytes().data(), key.bytes().size()) == 1 &&
      SSL_SESSION_set_cipher(session.get(), SSL_CIPHER_find(ssl, kPskSuite.data())) == 1 &&
      SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) == 1 &&
      SSL_SESSION_set1_ticket_appdata(session.get(), identity.data(), identity.size()) == 1 &&
      SSL_SESSION_set_ex_data(session.get(), mark_index(), &mark) == 1;
  return made ? std::move(session) : nullptr;
}

unsigned copy_key(const Key& key, unsigned char* room, unsigned size) {
  const auto bytes = key.bytes();
  if (bytes.size() > size) return 0;
  std::ranges::copy(bytes, room);
  return static_cast<unsigned>(bytes.size());
}

// TLS 1.2. libssl asks in TLS 1.3, too, where find_session() has answered.
unsigned server_key(SSL* ssl, const char* identity, unsigned char* room, unsigned size) {
  const PreSharedKeys* const keys = keys_of(ssl);
  if (keys == nullptr || identity == nullptr || SSL_version(ssl) == TLS1_3_VERSION) return 0;
  const Key* const key = keys->find(identity);
  return key == nullptr ? 0 : copy_key(*key, room, size);
}

// Likewise: a suite is pending in TLS 1.2 alone, or after a HelloRetryRequest of TLS 1.3.
unsigned client_key(SSL* ssl, const char* /*hint*/, char* identity, unsigned identity_size,
                    unsigned char* room, unsigned size) {
  const PreSharedKeys* const keys = keys_of(ssl);
  const SSL_CIPHER* const pending = SSL_get_pending_cipher(ssl);
  if (keys == nullptr || pending == nullptr || is_tls13(pending)) return 0;
  const std::string& own = keys->first();
  if (own.size() >= identity_size) return 0;
  *std::ranges::copy(own, identity).out = '\0';
  return copy_key(*keys->find(own), room, size);
}

// SSL_CTX_set_psk_find_session_callback(3): 1 without a session has libssl go on to tickets.
int find_session(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) {
  *session = nullptr;
  const PreSharedKeys* const keys = keys_of(ssl);
  if (keys == nullptr) return 1;
  const std::string_view name(reinterpret_cast<const char*>(identity), size);
  const Key* const key = keys->find(name);
  if (key == nullptr) return 1;
  *session = make_session(ssl, name, *key).release();
  return *session != nullptr ? 1 : 0;
}

// SSL_CTX_set_psk_use_session_callback(3). `digest` is known after a HelloRetryRequest.
int use_session(SSL* ssl, const EVP_MD* digest, const unsigned char** identity, std::size_t* size,
                SSL_SESSION** session) {
  *session = nullptr;
  const PreSharedKeys* const keys = keys_of(ssl);
  if (keys == nullptr || (digest != nullptr && EVP_MD_is_a(digest, "SHA256") != 1)) return 1;
  const std::string& own = keys->first();
  *session = make_session(ssl, own, *keys->find(own)).release();
  *identity = reinterpret_cast<const unsigned char*>(own.data());
  *size = own.size();
  return *session != nullptr ? 1 : 0;
}

// RFC 8446 section 4.2.11: PskIdentity identities<7..2^16-1>, each opaque identity<1..2^16-1> and
// uint32 obfuscated_ticket_age. What does not parse holds no identity: libssl objects to it.
bool offers_one_of(const PreSharedKeys& keys, std::span<const unsigned char> extension) {
  constexpr std::size_t kLengthSize = 2;
  constexpr std::size_t kAgeSize = 4;
  if (extension.size() < kLengthSize) return false;
  const std::size_t total = ktls::load_big_endian<std::uint16_t>(extension.data());
  auto rest = extension.subspan(kLengthSize);
  rest = rest.first(std::min(total, rest.size()));
  while (rest.size() >= kLengthSize) {
    const std::size_t size = ktls::load_big_endian<std::uint16_t>(rest.data());
    if (rest.size() < kLengthSize + size + kAgeSize) return false;
    const auto identity = rest.subspan(kLengthSize, size);
    if (keys.find({reinterpret_cast<const char*>(identity.data()), size}) != nullptr) return true;
    rest = rest.subspan(kLengthSize + size + kAgeSize);
  }
  return false;
}

}  // namespace

void install_psk_callbacks(SSL_CTX* context, Role role) {
  if (role == Role::kServer) {
    SSL_CTX_set_psk_server_callback(context, server_key);
    SSL_CTX_set_psk_find_session_callback(context, find_session);
  } else {
    SSL_CTX_set_psk_client_callback(context, client_key);
    SSL_CTX_set_psk_use_session_callback(context, use_session);
  }
}

std::string psk_first_list_of(std::vector<const CipherSuite*> suites) {
  std::ranges::stable_partition(suites,
                                [](const CipherSuite* suite) { return has_psk_hash(*suite); });
  return libssl_list_of(suites);
}

bool prefer_psk_hash(SSL* ssl, const PreSharedKeys& keys, const std::string& list) {
  const unsigned char* extension = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_psk, &extension, &size) != 1 ||
      !offers_one_of(keys, {extension, size})) {
    return true;
  }
  return SSL_set_ciphersuites(ssl, list.c_str()) == 1;
}

PskUse psk_use_of(SSL* ssl) {
  SSL_SESSION* const session = SSL_get_session(ssl);
  PskUse use{.identity = {}, .resumed = SSL_session_reused(ssl) != 0};
  if (session == nullptr) return use;
  if (SSL_version(ssl) != TLS1_3_VERSION) {
    const char* const identity = SSL_get_psk_identity(ssl);
    if (identity != nullptr) use.identity = identity;
    return use;
  }
  void* identity = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &identity, &size) == 1 && identity != nullptr) {
    use.identity.assign(static_cast<const char*>(identity), size);
  }
  // A session that a client has resumed was of a ticket, and may be a copy of one made here.
  const bool is_external = SSL_SESSION_get_ex_data(session, mark_index()) == &mark &&
                           SSL_SESSION_has_ticket(session) == 0;
  if (is_external) use.resumed = false;
  return use;
}

}  // namespace tls
