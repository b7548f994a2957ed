// Pins compared in libssl's verification.
#include "userspace/handshake/openssl/pins.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/handshake/openssl/ssl_connection.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr std::string_view kPrefix = "sha256//";
constexpr std::size_t kDigestSize = 32;
// 32 bytes are 43 characters and one "=", and the last of them has two bits that are 0.
constexpr std::size_t kBase64Size = 44;
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kUnusedBits = 4;  // the last character's value is a multiple of it

bool is_pin(std::string_view text) {
  if (!text.starts_with(kPrefix)) return false;
  text.remove_prefix(kPrefix.size());
  if (text.size() != kBase64Size || text.back() != '=') return false;
  text.remove_suffix(1);
  const bool is_base64 = text.find_first_not_of(kBase64) == std::string_view::npos;
  return is_base64 && kBase64.find(text.back()) % kUnusedBits == 0;
}

// Empty where libcrypto fails.
std::string pin_of(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  std::array<unsigned char, kDigestSize> digest{};
  const bool is_digested =
      size > 0 && EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), nullptr,
                             EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  if (!is_digested) return {};
  std::string pin(kPrefix);
  pin.resize(kPrefix.size() + kBase64Size);
  // The NUL that it writes goes where the string has its own.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(&pin[kPrefix.size()]), digest.data(),
                  kDigestSize);
  return pin;
}

// In the place of X509_verify_cert(3).
int verify(X509_STORE_CTX* store, void* /*argument*/) noexcept {
  const auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  SslConnection* const connection = ssl == nullptr ? nullptr : SslConnection::of(ssl);
  if (connection == nullptr) return 0;
  const SslContext& context = connection->context();
  if (context.verify() && X509_verify_cert(store) <= 0) return 0;
  const std::string pin = pin_of(X509_STORE_CTX_get0_cert(store));
  if (std::ranges::find(context.pins(), pin) != context.pins().end()) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  connection->object("its public key is " + pin + ", which is not pinned");
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

Result<std::vector<std::string>> parse_pins(std::string_view text) {
  std::vector<std::string> pins;
  for (;;) {
    const std::size_t end = text.find(';');
    const std::string pin(text.substr(0, end));
    if (!is_pin(pin)) {
      return fail(Error::of(ErrorCode::kInvalidArgument,
                            "\"" + pin + "\" is not sha256// and the base64 of 32 bytes"));
    }
    pins.push_back(pin);
    if (end == std::string_view::npos) return pins;
    text.remove_prefix(end + 1);
  }
}

void require_pins(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context, verify, nullptr);
}

}  // namespace tls
