// Credentials from PEM files, and what people are shown of a certificate.
#include "userspace/handshake/openssl/credentials.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <memory>
#include <span>
#include <utility>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "userspace/handshake/host_names.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/hex.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// The chains of all hosts of a large site are some ten kilobytes.
constexpr std::size_t kFileSizeMax = std::size_t{1} << 20U;
// For what is written while it is read, such as the output of another program.
constexpr std::chrono::seconds kWriterPatience(5);

bool is_readable_before(std::chrono::steady_clock::time_point deadline, int fd) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    const int ready = ::poll(&wait, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// Called for encrypted keys. Without it libcrypto would ask on the terminal.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// True when PEM reading stopped because there was nothing more of the kind looked for.
bool no_more_pem() {
  const unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

Result<void> read_chain(const std::string& path, Credentials& credentials) {
  KTLS_TRY(const BioPtr bio, read_file(path));
  ERR_clear_error();
  for (;;) {
    CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!certificate) break;
    if (!credentials.leaf) {
      credentials.leaf = std::move(certificate);
    } else if (sk_X509_push(credentials.chain.get(), certificate.get()) > 0) {
      static_cast<void>(certificate.release());
    }
  }
  if (!no_more_pem()) {
    return fail(openssl_error(ErrorCode::kInvalidArgument, path + ": not a PEM certificate"));
  }
  ERR_clear_error();
  if (!credentials.leaf) {
    return fail(Error::of(ErrorCode::kInvalidArgument, path + ": holds no PEM certificate"));
  }
  return {};
}

Result<void> read_key(const std::string& path, Credentials& credentials) {
  KTLS_TRY(const BioPtr bio, read_file(path));
  ERR_clear_error();
  bool encrypted = false;
  credentials.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &encrypted));
  if (credentials.key) return {};
  if (encrypted) {
    ERR_clear_error();
    return fail(
        Error::of(ErrorCode::kInvalidArgument,
                  path + ": the private key is encrypted; decrypt it first (openssl pkey)"));
  }
  return fail(openssl_error(ErrorCode::kInvalidArgument, path + ": holds no PEM private key"));
}

void warn_of_dates(const std::string& path, const X509* certificate,
                   std::vector<std::string>& warnings) {
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    warnings.push_back(path + ": certificate of " + subject_of(certificate) + " has expired");
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    warnings.push_back(path + ": certificate of " + subject_of(certificate) + " is not valid yet");
  }
}

}  // namespace

Result<BioPtr> read_file(const std::string& path) {
  // Not blocking: whoever reads is also who listens to signals, and a FIFO may have no writer.
  const ktls::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return fail(Error::system(errno, path));
  BioPtr content(BIO_new(BIO_s_mem()));
  if (!content) return fail(openssl_error(ErrorCode::kCrypto, path));
  const bool is_regular = S_ISREG(status.st_mode);
  const auto deadline = std::chrono::steady_clock::now() + kWriterPatience;
  std::array<char, 4096> piece{};
  std::size_t size = 0;
  for (;;) {
    if (!is_regular && !is_readable_before(deadline, fd.get())) {
      return fail(Error::system(ETIMEDOUT, path));
    }
    const ssize_t count = ::read(fd.get(), piece.data(), piece.size());
    if (count < 0 && (errno == EINTR || (errno == EAGAIN && !is_regular))) continue;
    if (count < 0) return fail(Error::system(errno, path));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
    const bool is_too_long = size > kFileSizeMax;
    const bool is_kept =
        !is_too_long &&
        BIO_write(content.get(), piece.data(), static_cast<int>(count)) == static_cast<int>(count);
    OPENSSL_cleanse(piece.data(), piece.size());  // it may have been a key
    if (is_too_long) return fail(Error::system(EFBIG, path));
    if (!is_kept) return fail(openssl_error(ErrorCode::kCrypto, path));
  }
  return content;
}

Result<Credentials> load_credentials(const std::string& certificate_file,
                                     const std::string& key_file) {
  const std::string& key_path = key_file.empty() ? certificate_file : key_file;
  Credentials credentials;
  credentials.file = certificate_file;
  credentials.chain.reset(sk_X509_new_null());
  if (auto read = read_chain(certificate_file, credentials); !read) return fail(read.error());
  if (auto read = read_key(key_path, credentials); !read) return fail(read.error());
  if (X509_check_private_key(credentials.leaf.get(), credentials.key.get()) != 1) {
    return fail(openssl_error(
        ErrorCode::kInvalidArgument,
        key_path + ": the key does not belong to the first certificate of " + certificate_file));
  }
  warn_of_dates(certificate_file, credentials.leaf.get(), credentials.warnings);
  for (int i = 0; i < sk_X509_num(credentials.chain.get()); ++i) {
    warn_of_dates(certificate_file, sk_X509_value(credentials.chain.get(), i),
                  credentials.warnings);
  }
  return credentials;
}

std::string text_of(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : "(no subject)";
}

std::string subject_of(const X509* certificate) {
  return text_of(X509_get_subject_name(certificate));
}

bool covers(X509* certificate, const std::string& host) {
  // X509_check_host(3) takes names alone: what stands for any label is checked as one that nobody
  // would list by itself.
  const std::string name = host.starts_with("*.") ? "any-label" + host.substr(1) : host;
  return X509_check_host(certificate, name.data(), name.size(), kNameCheckFlags, nullptr) == 1;
}

std::vector<std::string> dns_names_of(const X509* certificate) {
  using NamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>>;
  const NamesPtr held(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> names;
  for (int i = 0; i < sk_GENERAL_NAME_num(held.get()); ++i) {
    const GENERAL_NAME* const each = sk_GENERAL_NAME_value(held.get(), i);
    if (each->type != GEN_DNS) continue;
    const ASN1_IA5STRING* const text = each->d.dNSName;
    // What no client can ask for, such as "f*.example.org", is passed over.
    auto name = canonical_host_name({reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                     static_cast<std::size_t>(ASN1_STRING_length(text))});
    if (name) names.push_back(*std::move(name));
  }
  return names;
}

std::string fingerprint_of(const X509* certificate) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  return hex_of(std::span(digest).first(size), ':');
}

std::int64_t not_after(const X509* certificate) {
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return 0;
  return ::timegm(&time);
}

std::string pem_of(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace tls
