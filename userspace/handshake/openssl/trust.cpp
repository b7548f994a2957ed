// Authorities and revocation lists into an SSL_CTX.
#include "userspace/handshake/openssl/trust.h"

#include <array>
#include <memory>
#include <span>
#include <utility>

#include <openssl/pem.h>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/hex.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

struct FreeEntries {
  void operator()(STACK_OF(X509_INFO) * entries) const {
    sk_X509_INFO_pop_free(entries, X509_INFO_free);
  }
};
using EntriesPtr = std::unique_ptr<STACK_OF(X509_INFO), FreeEntries>;

// Not by SSL_CTX_load_verify_file(3), which waits for the writer of a FIFO for ever.
Result<EntriesPtr> read_entries(const std::string& file) {
  KTLS_TRY(const BioPtr content, read_file(file));
  EntriesPtr entries(PEM_X509_INFO_read_bio(content.get(), nullptr, nullptr, nullptr));
  if (!entries) return fail(openssl_error(ErrorCode::kInvalidArgument, file));
  return entries;
}

// What X509_digest() and X509_CRL_digest() have in common.
template <class Digest, class Object>
std::string digest_of(Digest digest, const Object* object) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  if (digest(object, EVP_sha256(), bytes.data(), &size) != 1) return {};
  return hex_of(std::span(bytes).first(size), ':');
}

// Revocation lists that stand in the same file are not taken: they have a flag of their own.
Result<std::string> add_authorities(SSL_CTX* context, const std::string& file,
                                    const STACK_OF(X509_INFO) * entries) {
  std::string digests;
  for (int i = 0; i < sk_X509_INFO_num(entries); ++i) {
    X509* const trusted = sk_X509_INFO_value(entries, i)->x509;
    if (trusted == nullptr) continue;
    const std::string digest = digest_of(X509_digest, trusted);
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), trusted) != 1 ||
        SSL_CTX_add_client_CA(context, trusted) != 1 || digest.empty()) {
      return fail(openssl_error(ErrorCode::kCrypto, file));
    }
    digests += digest;
  }
  if (digests.empty()) {
    return fail(
        Error::of(ErrorCode::kInvalidArgument, file + ": holds no PEM certificate to trust"));
  }
  return digests;
}

bool is_issued_by_one_of(const X509_CRL* list, const STACK_OF(X509_INFO) * authorities) {
  for (int i = 0; i < sk_X509_INFO_num(authorities); ++i) {
    const X509* const authority = sk_X509_INFO_value(authorities, i)->x509;
    if (authority != nullptr &&
        X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) == 0) {
      return true;
    }
  }
  return false;
}

void warn_of_list(const std::string& file, const X509_CRL* list,
                  const STACK_OF(X509_INFO) * authorities, std::vector<std::string>& warnings) {
  const std::string whose = file + ": the revocation list of " + text_of(X509_CRL_get_issuer(list));
  const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(list);
  if (next != nullptr && X509_cmp_current_time(next) < 0) {
    warnings.push_back(whose + " has expired: no certificate of theirs is accepted");
  }
  // It may be that of an authority which the trusted ones vouch for.
  if (!is_issued_by_one_of(list, authorities)) {
    warnings.push_back(whose + " is of none of the trusted certificates");
  }
}

Result<void> add_lists(SSL_CTX* context, const std::string& file,
                       const STACK_OF(X509_INFO) * authorities, Trust& trusted) {
  KTLS_TRY(const EntriesPtr entries, read_entries(file));
  int lists = 0;
  for (int i = 0; i < sk_X509_INFO_num(entries.get()); ++i) {
    X509_CRL* const list = sk_X509_INFO_value(entries.get(), i)->crl;
    if (list == nullptr) continue;
    const std::string digest = digest_of(X509_CRL_digest, list);
    if (X509_STORE_add_crl(SSL_CTX_get_cert_store(context), list) != 1 || digest.empty()) {
      return fail(openssl_error(ErrorCode::kCrypto, file));
    }
    trusted.digest.append("-").append(digest);
    warn_of_list(file, list, authorities, trusted.warnings);
    ++lists;
  }
  if (lists == 0) {
    return fail(Error::of(ErrorCode::kInvalidArgument, file + ": holds no PEM revocation list"));
  }
  // Of what peers show, and not of the chain that is built for a certificate of ours.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context),
                              X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

}  // namespace

Result<Trust> trust(SSL_CTX* context, const std::string& ca_file, const std::string& crl_file) {
  KTLS_TRY(const EntriesPtr authorities, read_entries(ca_file));
  Trust trusted;
  KTLS_TRY(trusted.digest, add_authorities(context, ca_file, authorities.get()));
  if (crl_file.empty()) return trusted;
  if (auto added = add_lists(context, crl_file, authorities.get(), trusted); !added) {
    return fail(std::move(added).error());
  }
  return trusted;
}

}  // namespace tls
