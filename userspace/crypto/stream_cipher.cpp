// StreamCipher over EVP_CIPHER of OpenSSL 3.
#include "userspace/crypto/stream_cipher.h"

#include <climits>
#include <utility>

#include <openssl/evp.h>

#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/openssl_error.h"

namespace tls {

using ktls::Error;
using ktls::ErrorCode;

void StreamCipher::FreeContext::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

ktls::Result<StreamCipher> StreamCipher::create(const BulkCipher& cipher,
                                                std::span<const std::uint8_t> key) {
  const ErrorMark mark;
  if (cipher.kind != ProtectionKind::kStream) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "StreamCipher: not a stream cipher"));
  }
  if (key.size() != cipher.key_size) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "StreamCipher: key size"));
  }
  KTLS_TRY(const evp_cipher_st* const evp_cipher, evp_cipher_of(cipher));
  Context context(EVP_CIPHER_CTX_new());
  if (!context ||
      EVP_EncryptInit_ex2(context.get(), evp_cipher, key.data(), nullptr, nullptr) != 1) {
    return ktls::fail(crypto_error("EVP_EncryptInit_ex2"));
  }
  return StreamCipher(std::move(context));
}

ktls::Result<void> StreamCipher::apply(std::span<const std::uint8_t> from,
                                       std::span<std::uint8_t> to) {
  const ErrorMark mark;
  if (from.size() != to.size() || from.size() > INT_MAX) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "StreamCipher: sizes"));
  }
  if (from.empty()) return {};
  int written = 0;
  if (EVP_EncryptUpdate(context_.get(), to.data(), &written, from.data(),
                        static_cast<int>(from.size())) != 1) {
    return ktls::fail(crypto_error("StreamCipher"));
  }
  return {};
}

}  // namespace tls
