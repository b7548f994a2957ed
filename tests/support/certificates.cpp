// Issuing of test certificates.
#include "tests/support/certificates.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "userspace/handshake/openssl/pointers.h"

namespace tls::test {
namespace {

using CrlPtr = std::unique_ptr<X509_CRL, OpensslDeleter<X509_CRL_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, OpensslDeleter<ASN1_TIME_free>>;
using BasicPtr = std::unique_ptr<OCSP_BASICRESP, OpensslDeleter<OCSP_BASICRESP_free>>;
using ResponsePtr = std::unique_ptr<OCSP_RESPONSE, OpensslDeleter<OCSP_RESPONSE_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;

void expect(bool succeeded, const char* what) {
  if (!succeeded) throw std::runtime_error(std::string("test certificates: ") + what);
}

// Of no key in particular; their generation takes seconds (`openssl dsaparam 2048`).
constexpr const char* kDsaParameters =
    "-----BEGIN DSA PARAMETERS-----\n"
    "MIICKQKCAQEAp/SBgil62OVCABcF7MT+mMKrIUWHU221eKyveL/2TpASxyjMGuWg\n"
    "w/7Ijk7xk7mLOfBz48jSL8i/cltvaxK5/Bv442GFtIQtR8WARtR9faIUfZZ0KOmL\n"
    "MoRgEvrNKVwtlNRvuRXTgj9xKw2yQ9xSWY5GGZdyqAmvo2Ojny9/mKyiJBuqm8eO\n"
    "xc6h/JZX9exNM9pky2MTkH3rtjyt/WlwmH0siYmeblcMU9lxRZNASolSGb7oYb3F\n"
    "0XOUO79mGdQE/GGoKDhg901psG3Gt2QzKd0ZAXL0ccKNpG20xuilxcJtc1q4e72f\n"
    "3aLhNArJa3BZY6VuG3JMyhYqcRtVxnIcMQIdAKLCCY6r1pDlXqJKGWKFHlqQqaW0\n"
    "JqkRefo/RLsCggEBAIxCetRhp7Dfbrxcyeyf9QI94KH/uqXhT6esoirJJzgEcmM2\n"
    "uNFXWyHKQp+XVFR1D8d3x7vuMc0rg8iIf+GiLGDY61T90I4/QYUTWrPZMeLeA9fu\n"
    "s73nMKwhqGy5IBSjs3Z6asf9SW6slfSFyFXDz7WmDXKoHQbrAh7LUT7JeLoPh1cz\n"
    "Bl/6KFJJ5Euvx2bbjv5lVbrkOi61VdUrHz/ef6VURE63OOpKGjY1BStMkHjiAERp\n"
    "exTNEfZ4cGZc/R3nIfVK3KZ3IP2ko9+LCb4xJb4NmlKSWztyibra2LTBtRPFdj3U\n"
    "5K8WRX0fgMaDkb+UlIwAGaxPrd/ILgK+0MwNtug=\n"
    "-----END DSA PARAMETERS-----\n";

using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX_free>>;

EVP_PKEY* generate_dsa() {
  const BioPtr bio(BIO_new_mem_buf(kDsaParameters, -1));
  const KeyPtr parameters(PEM_read_bio_Parameters(bio.get(), nullptr));
  const KeyContextPtr context(EVP_PKEY_CTX_new(parameters.get(), nullptr));
  EVP_PKEY* key = nullptr;
  expect(context && EVP_PKEY_keygen_init(context.get()) == 1 &&
             EVP_PKEY_keygen(context.get(), &key) == 1,
         "DSA key");
  return key;
}

KeyPtr generate_key(KeyKind kind) {
  switch (kind) {
    case KeyKind::kEcdsa:
      return KeyPtr(EVP_EC_gen("P-256"));
    case KeyKind::kRsa:
      return KeyPtr(EVP_RSA_gen(2048));
    case KeyKind::kDsa:
      return KeyPtr(generate_dsa());
  }
  return nullptr;
}

// RSA keys take a while to make, and no test cares which one it has.
EVP_PKEY* leaf_key(KeyKind kind) {
  static std::map<KeyKind, KeyPtr> made;
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  KeyPtr& key = made[kind];
  if (!key) key = generate_key(kind);
  expect(key != nullptr, "key");
  return key.get();
}

std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string pem_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  expect(PEM_write_bio_X509(bio.get(), certificate) == 1, "PEM");
  return text_of(bio.get());
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  expect(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

CertificatePtr new_certificate(const std::string& common_name, EVP_PKEY* key, long not_before_s,
                               long not_after_s) {
  CertificatePtr certificate(X509_new());
  expect(certificate != nullptr, "X509_new");
  X509_set_version(certificate.get(), 2);
  std::uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), not_before_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), not_after_s);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  expect(X509_set_pubkey(certificate.get(), key) == 1, "public key");
  return certificate;
}

std::string alternative_names(const LeafOptions& options) {
  std::string names;
  for (const auto& name : options.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& address : options.addresses) {
    names += (names.empty() ? "IP:" : ",IP:") + address;
  }
  return names;
}

CertificatePtr parse(const std::string& pem) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  expect(certificate != nullptr, "PEM");
  return certificate;
}

TimePtr from_now(long seconds) {
  return TimePtr(X509_gmtime_adj(nullptr, seconds));
}

}  // namespace

struct TestAuthority::Keys {
  KeyPtr key;
  CertificatePtr certificate;
};

TestAuthority::TestAuthority(const std::string& name) : keys_(std::make_unique<Keys>()) {
  keys_->key = generate_key(KeyKind::kEcdsa);
  keys_->certificate = new_certificate(name, keys_->key.get(), -86400, 86400L * 365);
  X509* const certificate = keys_->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
  add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate, certificate, NID_subject_key_identifier, "hash");
  expect(X509_sign(certificate, keys_->key.get(), EVP_sha256()) > 0, "signature");
  certificate_pem_ = pem_of(certificate);
}

TestAuthority::~TestAuthority() = default;

Issued TestAuthority::issue(const LeafOptions& options) const {
  EVP_PKEY* const key = leaf_key(options.key);
  const auto certificate =
      new_certificate(options.common_name, key, options.not_before_s, options.not_after_s);
  X509* const authority = keys_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority));
  add_extension(certificate.get(), authority, NID_basic_constraints, "critical,CA:FALSE");
  const std::string names = alternative_names(options);
  if (!names.empty()) add_extension(certificate.get(), authority, NID_subject_alt_name, names);
  expect(X509_sign(certificate.get(), keys_->key.get(), EVP_sha256()) > 0, "signature");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  expect(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
         "PEM");
  return {pem_of(certificate.get()), text_of(bio.get())};
}

std::string TestAuthority::revocation_list(const std::vector<std::string>& revoked,
                                           long next_update_s) const {
  const CrlPtr list(X509_CRL_new());
  X509_CRL_set_version(list.get(), 1);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(keys_->certificate.get()));
  X509_CRL_set1_lastUpdate(list.get(), from_now(-7200).get());
  X509_CRL_set1_nextUpdate(list.get(), from_now(next_update_s).get());
  for (const std::string& pem : revoked) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(parse(pem).get()));
    X509_REVOKED_set_revocationDate(entry, from_now(-3600).get());
    expect(X509_CRL_add0_revoked(list.get(), entry) == 1, "revocation");
  }
  expect(X509_CRL_sign(list.get(), keys_->key.get(), EVP_sha256()) > 0, "signature");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  expect(PEM_write_bio_X509_CRL(bio.get(), list.get()) == 1, "PEM");
  return text_of(bio.get());
}

std::string TestAuthority::ocsp_response(const std::string& certificate_pem,
                                         const OcspOptions& options) const {
  constexpr int kStatus[] = {V_OCSP_CERTSTATUS_GOOD, V_OCSP_CERTSTATUS_REVOKED,
                             V_OCSP_CERTSTATUS_UNKNOWN};
  X509* const authority = keys_->certificate.get();
  const BasicPtr basic(OCSP_BASICRESP_new());
  OCSP_CERTID* const id = OCSP_cert_to_id(nullptr, parse(certificate_pem).get(), authority);
  const TimePtr next = from_now(options.next_update_s);
  expect(OCSP_basic_add1_status(basic.get(), id, kStatus[static_cast<int>(options.status)],
                                OCSP_REVOKED_STATUS_UNSPECIFIED, from_now(-60).get(),
                                from_now(options.this_update_s).get(),
                                options.next_update_s == 0 ? nullptr : next.get()) != nullptr,
         "OCSP status");
  OCSP_CERTID_free(id);
  expect(OCSP_basic_sign(basic.get(), authority, keys_->key.get(), EVP_sha256(), nullptr, 0) == 1,
         "OCSP signature");
  const ResponsePtr response(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  unsigned char* bytes = nullptr;
  const int size = i2d_OCSP_RESPONSE(response.get(), &bytes);
  expect(size > 0, "OCSP response");
  std::string der(bytes, bytes + size);
  OPENSSL_free(bytes);
  return der;
}

std::string encrypt_key(const std::string& key_pem, const std::string& passphrase) {
  const BioPtr in(BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())));
  const KeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const BioPtr out(BIO_new(BIO_s_mem()));
  expect(key && PEM_write_bio_PKCS8PrivateKey(
                    out.get(), key.get(), EVP_aes_128_cbc(), passphrase.data(),
                    static_cast<int>(passphrase.size()), nullptr, nullptr) == 1,
         "encrypted key");
  return text_of(out.get());
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "ktls-bridge-XXXXXX").string();
  expect(::mkdtemp(name.data()) != nullptr, "temporary directory");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& content) const {
  const auto path = path_ / name;
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

}  // namespace tls::test
