// CbcCipher over EVP_CIPHER of OpenSSL 3.
#include "userspace/crypto/cbc_cipher.h"

#include <climits>
#include <utility>

#include <openssl/evp.h>

#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/openssl_error.h"

namespace tls {

using ktls::Error;
using ktls::ErrorCode;

void CbcCipher::FreeContext::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

CbcCipher::Context CbcCipher::keyed(const evp_cipher_st* cipher, std::span<const std::uint8_t> key,
                                    bool encrypts) {
  Context context(EVP_CIPHER_CTX_new());
  if (!context ||
      EVP_CipherInit_ex2(context.get(), cipher, key.data(), nullptr, encrypts ? 1 : 0, nullptr) !=
          1 ||
      EVP_CIPHER_CTX_set_padding(context.get(), 0) != 1) {
    return nullptr;
  }
  return context;
}

ktls::Result<CbcCipher> CbcCipher::create(const BulkCipher& cipher,
                                          std::span<const std::uint8_t> key) {
  const ErrorMark mark;
  if (cipher.kind != ProtectionKind::kCbc) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "CbcCipher: not a CBC cipher"));
  }
  if (key.size() != cipher.key_size) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "CbcCipher: key size"));
  }
  KTLS_TRY(const evp_cipher_st* const evp_cipher, evp_cipher_of(cipher));
  Context encrypting = keyed(evp_cipher, key, true);
  Context decrypting = keyed(evp_cipher, key, false);
  if (!encrypting || !decrypting) return ktls::fail(crypto_error("EVP_CipherInit_ex2"));
  if (EVP_CIPHER_CTX_get_block_size(encrypting.get()) != static_cast<int>(cipher.block_size) ||
      EVP_CIPHER_CTX_get_key_length(encrypting.get()) != static_cast<int>(cipher.key_size)) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "CbcCipher: block or key size"));
  }
  return CbcCipher(std::move(encrypting), std::move(decrypting), cipher.block_size);
}

ktls::Result<void> CbcCipher::run(evp_cipher_ctx_st* context, std::span<const std::uint8_t> iv,
                                  std::span<const std::uint8_t> from,
                                  std::span<std::uint8_t> to) const {
  const ErrorMark mark;
  if (iv.size() != block_size_ || from.size() % block_size_ != 0 || from.size() != to.size() ||
      from.size() > INT_MAX) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "CbcCipher: sizes"));
  }
  if (from.empty()) return {};
  int written = 0;
  if (EVP_CipherInit_ex2(context, nullptr, nullptr, iv.data(), -1, nullptr) != 1 ||
      EVP_CipherUpdate(context, to.data(), &written, from.data(), static_cast<int>(from.size())) !=
          1 ||
      static_cast<std::size_t>(written) != from.size()) {
    return ktls::fail(crypto_error("CbcCipher"));
  }
  return {};
}

ktls::Result<void> CbcCipher::encrypt(std::span<const std::uint8_t> iv,
                                      std::span<const std::uint8_t> from,
                                      std::span<std::uint8_t> to) {
  return run(encrypting_.get(), iv, from, to);
}

ktls::Result<void> CbcCipher::decrypt(std::span<const std::uint8_t> iv,
                                      std::span<const std::uint8_t> from,
                                      std::span<std::uint8_t> to) {
  return run(decrypting_.get(), iv, from, to);
}

}  // namespace tls
