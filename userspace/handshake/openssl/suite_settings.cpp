// Lists of names given to libssl, and what it needs to agree to them.
#include "userspace/handshake/openssl/suite_settings.h"

#include <utility>

#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/group_list.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

using SecurityCallback = int (*)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);

tl::unexpected<Error> refuse(const char* list, Error error) {
  error.detail = std::string(list) + ": " + error.detail;
  return fail(std::move(error));
}

SecurityCallback libssl_callback() {
  static const SecurityCallback callback = [] {
    const SslCtxPtr context(SSL_CTX_new(TLS_method()));
    return SSL_CTX_get_security_callback(context.get());
  }();
  return callback;
}

// libssl's security level counts the short tag of CCM-8 as 64 bits of strength, and would not offer
// what was named. All else that the level forbids stays forbidden: weak keys, groups, signatures.
int permit_named_suites(const SSL* ssl, const SSL_CTX* context, int operation, int bits, int nid,
                        void* other, void* data) {
  if ((operation & SSL_SECOP_OTHER_TYPE) == SSL_SECOP_OTHER_CIPHER) return 1;
  return libssl_callback()(ssl, context, operation, bits, nid, other, data);
}

Result<void> set_groups(SSL_CTX* context, const std::string& groups) {
  if (groups.empty()) return {};
  auto names = parse_group_list(groups);
  if (!names) return refuse("groups", std::move(names.error()));
  // SSL_CTX_set1_groups_list(), whose macro casts as C does.
  if (SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, names->data()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "groups \"" + *names + "\""));
  }
  return {};
}

}  // namespace

Result<void> set_suites(SSL_CTX* context, const SuiteChoice& choice, const std::string& groups) {
  auto ciphers = offered_suites(choice, ProtocolVersion::kTls12);
  if (!ciphers) return refuse("ciphers", std::move(ciphers.error()));
  auto ciphersuites = offered_suites(choice, ProtocolVersion::kTls13);
  if (!ciphersuites) return refuse("ciphersuites", std::move(ciphersuites.error()));
  const std::string list = libssl_list_of(*ciphers);
  if (SSL_CTX_set_cipher_list(context, list.c_str()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "ciphers \"" + list + "\""));
  }
  const std::string suites = libssl_list_of(*ciphersuites);
  if (SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, "ciphersuites \"" + suites + "\""));
  }
  const bool is_named = !choice.ciphers.empty() || !choice.ciphersuites.empty();
  if (is_named) SSL_CTX_set_security_callback(context, permit_named_suites);
  // SSL_CTX_set_dh_auto(): groups of RFC 3526 by the strength of the certificate's key, and not
  // below libssl's security level. No suite that stands for no names is in need of one.
  SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 1, nullptr);
  return set_groups(context, groups);
}

}  // namespace tls
