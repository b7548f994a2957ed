// Credentials: a certificate chain with its private key, from PEM files or made on the spot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {

// Names are in subjectAltName, and a wildcard is a whole label (RFC 6125 sections 6.4.3, 6.4.4;
// RFC 9525 drops both exceptions).
inline constexpr unsigned int kNameCheckFlags =
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

//   file       of the certificate; empty: made on the spot
//   chain      what follows the leaf, in order; may be empty, never null
//   warnings   what a peer will object to, for people: an expired certificate, for instance
struct Credentials {
  std::string file;
  CertificatePtr leaf;
  CertificateStackPtr chain;
  KeyPtr key;
  std::vector<std::string> warnings;
};

// `key_file` empty: the key is in `certificate_file`. Errors name the file: kSystem if it cannot be
// read, kInvalidArgument if it is no PEM, holds no certificate or key, is encrypted (nobody is
// asked for a passphrase), or the key belongs to another certificate.
[[nodiscard]] ktls::Result<Credentials> load_credentials(const std::string& certificate_file,
                                                         const std::string& key_file);

// Whether clients that ask for `host` (in canonical form; "*.example.org": for any name that it
// stands for) will find it in the certificate, which must be in subjectAltName.
[[nodiscard]] bool covers(X509* certificate, const std::string& host);

// The names that it can be asked for by (SNI), as its subjectAltName has them, in canonical form.
[[nodiscard]] std::vector<std::string> dns_names_of(const X509* certificate);

// "CN=leaf", for people.
[[nodiscard]] std::string text_of(const X509_NAME* name);
[[nodiscard]] std::string subject_of(const X509* certificate);

// An ECDSA P-256 certificate signed by its own key, for localhost, 127.0.0.1, ::1 and the name of
// this host; valid for 90 days, from an hour ago so that a peer's clock may be late.
[[nodiscard]] ktls::Result<Credentials> make_self_signed_credentials();

// SHA-256 of the certificate's DER in lower-case hex, with colons.
[[nodiscard]] std::string fingerprint_of(const X509* certificate);
[[nodiscard]] std::string pem_of(X509* certificate);
// Seconds since 1970; 0 where its end of validity does not parse.
[[nodiscard]] std::int64_t not_after(const X509* certificate);

// The content of a file of at most 1 MiB, which nothing but the BIO has kept. A FIFO is given some
// seconds, and no longer, to be written to. Error: kSystem, naming the file.
[[nodiscard]] ktls::Result<BioPtr> read_file(const std::string& path);

}  // namespace tls
