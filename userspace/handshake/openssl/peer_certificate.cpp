// Names and digests of X.509.

#include "userspace/handshake/openssl/peer_certificate.h"

#include <array>
#include <span>
#include <string>
#include <utility>

#include <openssl/objects.h>
#include <openssl/x509.h>

#include "userspace/handshake/openssl/hex.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {
namespace {

std::string text_of(const X509_NAME* name) {
  const BioPtr text(BIO_new(BIO_s_mem()));
  // RFC 2253, but for bytes above 0x7f, which stay UTF-8.
  constexpr unsigned long kFlags =
      XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  if (!text || X509_NAME_print_ex(text.get(), name, 0, kFlags) < 0) return {};
  const char* bytes = nullptr;
  const long size = BIO_ctrl(text.get(), BIO_CTRL_INFO, 0, static_cast<void*>(&bytes));
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

std::string common_name_of(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string text(utf8, utf8 + size);
  OPENSSL_free(utf8);
  // To whoever reads up to the first zero byte it would be another name.
  if (text.find('\0') != std::string::npos) return {};
  return text;
}

}  // namespace

std::optional<PeerCertificate> peer_certificate_of(const SSL* ssl) {
  const X509* const shown = SSL_get0_peer_certificate(ssl);
  if (shown == nullptr) return std::nullopt;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(shown, EVP_sha256(), digest.data(), &size) != 1) return std::nullopt;
  std::string sha256 = hex_of(std::span(digest).first(size), ':');
  std::erase(sha256, ':');
  const X509_NAME* const subject = X509_get_subject_name(shown);
  return PeerCertificate{.subject = text_of(subject),
                         .issuer = text_of(X509_get_issuer_name(shown)),
                         .common_name = common_name_of(subject),
                         .sha256 = std::move(sha256)};
}

}  // namespace tls
