// make_self_signed_credentials(): the certificate of a server that was given none.
#include <array>
#include <climits>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr long kSecondsBeforeNow = 60L * 60;
constexpr long kSecondsValid = 90L * 24 * 60 * 60;
// RFC 5280 section 4.1.2.2: positive and at most 20 octets; 64 random bits or more are good use.
constexpr int kSerialBits = 127;
constexpr int kVersion3 = 2;
constexpr std::array<unsigned char, 9> kCommonName = {'l', 'o', 'c', 'a', 'l', 'h', 'o', 's', 't'};

using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;
using NamePtr = std::unique_ptr<GENERAL_NAME, OpensslDeleter<GENERAL_NAME_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;
using BignumPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;

bool push_dns_name(GENERAL_NAMES* names, const std::string& host) {
  NamePtr name(GENERAL_NAME_new());
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  if (!name || text == nullptr) return false;
  GENERAL_NAME_set0_value(name.get(), GEN_DNS, text);
  if (ASN1_STRING_set(text, host.data(), static_cast<int>(host.size())) != 1) return false;
  return sk_GENERAL_NAME_push(names, name.release()) > 0;
}

bool push_address(GENERAL_NAMES* names, const char* address) {
  NamePtr name(GENERAL_NAME_new());
  ASN1_OCTET_STRING* octets = a2i_IPADDRESS(address);
  if (!name || octets == nullptr) return false;
  GENERAL_NAME_set0_value(name.get(), GEN_IPADD, octets);
  return sk_GENERAL_NAME_push(names, name.release()) > 0;
}

// The name of this host where it can stand in a certificate: host names may be anything.
std::string own_host_name() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (::gethostname(host.data(), HOST_NAME_MAX) != 0) return {};
  const std::string name(host.data());
  const bool plain = name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789-._") == std::string::npos;
  return plain ? name : std::string();
}

bool add_names(X509* certificate) {
  const NamesPtr names(sk_GENERAL_NAME_new_null());
  if (!names || !push_dns_name(names.get(), "localhost") ||
      !push_address(names.get(), "127.0.0.1") || !push_address(names.get(), "::1")) {
    return false;
  }
  const std::string host = own_host_name();
  if (!host.empty() && host != "localhost" && !push_dns_name(names.get(), host)) return false;
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1;
}

bool add_extension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  const BignumPtr number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_subject(X509* certificate) {
  X509_NAME* name = X509_get_subject_name(certificate);
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, kCommonName.data(),
                                    static_cast<int>(kCommonName.size()), -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1;
}

bool fill(X509* certificate, EVP_PKEY* key) {
  return X509_set_version(certificate, kVersion3) == 1 && set_random_serial(certificate) &&
         X509_gmtime_adj(X509_getm_notBefore(certificate), -kSecondsBeforeNow) != nullptr &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), kSecondsValid - kSecondsBeforeNow) !=
             nullptr &&
         set_subject(certificate) && X509_set_pubkey(certificate, key) == 1 &&
         add_names(certificate) &&
         add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
         add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
         add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
         add_extension(certificate, NID_subject_key_identifier, "hash") &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

}  // namespace

Result<Credentials> make_self_signed_credentials() {
  Credentials credentials;
  credentials.chain.reset(sk_X509_new_null());
  credentials.leaf.reset(X509_new());
  credentials.key.reset(EVP_EC_gen("P-256"));
  if (!credentials.chain || !credentials.leaf || !credentials.key ||
      !fill(credentials.leaf.get(), credentials.key.get())) {
    return fail(openssl_error(ErrorCode::kCrypto, "making a self-signed certificate"));
  }
  return credentials;
}

}  // namespace tls
