// Aead over EVP_CIPHER of OpenSSL 3.
#include "userspace/crypto/aead.h"

#include <algorithm>
#include <climits>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "userspace/crypto/evp_cipher.h"
#include "userspace/crypto/openssl_error.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::span<const std::uint8_t>;

// No AEAD of libcrypto has a longer tag.
constexpr std::size_t kTagSizeMax = 16;

// EVP counts in int. No record comes near, so the check belongs to the contract, not to the path.
bool fits_int(std::size_t size) {
  return size <= INT_MAX;
}

// Encrypts or decrypts `from` to `to`; `to` null adds associated data. False: libcrypto refused.
bool update(EVP_CIPHER_CTX* context, Bytes from, std::uint8_t* to) {
  if (from.empty()) return true;
  int written = 0;
  return EVP_CipherUpdate(context, to, &written, from.data(), static_cast<int>(from.size())) == 1 &&
         static_cast<std::size_t>(written) == from.size();
}

// The tag by its parameter. EVP_CIPHER_CTX_ctrl does the same, by way of a number that it has to
// look up and a list of its own: a tenth of a small record's time.
bool read_tag(EVP_CIPHER_CTX* context, std::span<std::uint8_t> tag) {
  std::array<OSSL_PARAM, 2> parameters = {
      {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag.data(), tag.size()),
       OSSL_PARAM_END}};
  return EVP_CIPHER_CTX_get_params(context, parameters.data()) == 1;
}

// A parameter that is set is not written to, though its type has no const.
bool expect_tag(EVP_CIPHER_CTX* context, Bytes tag) {
  const std::array<OSSL_PARAM, 2> parameters = {
      {OSSL_PARAM_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, const_cast<std::uint8_t*>(tag.data()),
                               tag.size()),
       OSSL_PARAM_END}};
  return EVP_CIPHER_CTX_set_params(context, parameters.data()) == 1;
}

// CCM: the size of the message to come.
bool announce(EVP_CIPHER_CTX* context, std::size_t size) {
  int written = 0;
  return EVP_CipherUpdate(context, nullptr, &written, nullptr, static_cast<int>(size)) == 1;
}

}  // namespace

void Aead::FreeContext::operator()(evp_cipher_ctx_st* context) const {
  EVP_CIPHER_CTX_free(context);
}

ktls::Result<Aead> Aead::create(const BulkCipher& cipher, Bytes key) {
  const ErrorMark mark;
  if (cipher.kind != ProtectionKind::kAead || cipher.tag_size > kTagSizeMax) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "Aead: not an AEAD cipher"));
  }
  if (key.size() != cipher.key_size) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "Aead: key size"));
  }
  KTLS_TRY(const EVP_CIPHER* const evp_cipher, evp_cipher_of(cipher));
  const bool is_ccm = EVP_CIPHER_get_mode(evp_cipher) == EVP_CIPH_CCM_MODE;
  // Keyed for encryption: the ciphers here are counter modes, whose key schedule has no direction,
  // and each operation sets its own direction together with the nonce. libcrypto's CCM is the
  // exception: with the key it chooses code for whole blocks, which has a direction.
  Context context = keyed(evp_cipher, cipher, key, true);
  Context opening = is_ccm ? keyed(evp_cipher, cipher, key, false) : nullptr;
  if (!context || (is_ccm && !opening)) return ktls::fail(crypto_error("EVP_CipherInit_ex2"));
  if (EVP_CIPHER_CTX_get_iv_length(context.get()) != static_cast<int>(kAeadNonceSize)) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "Aead: nonce size is not 12"));
  }
  return Aead(std::move(context), std::move(opening), cipher.tag_size);
}

// CCM's parameters L and M enter its first block (RFC 3610 section 2.2), so they are set before the
// key.
Aead::Context Aead::keyed(const evp_cipher_st* evp_cipher, const BulkCipher& cipher, Bytes key,
                          bool encrypts) {
  Context context(EVP_CIPHER_CTX_new());
  const int direction = encrypts ? 1 : 0;
  bool done = context && EVP_CipherInit_ex2(context.get(), evp_cipher, nullptr, nullptr, direction,
                                            nullptr) == 1;
  if (done && EVP_CIPHER_get_mode(evp_cipher) == EVP_CIPH_CCM_MODE) {
    done =
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, kAeadNonceSize, nullptr) == 1 &&
        EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(cipher.tag_size),
                            nullptr) == 1;
  }
  done = done &&
         EVP_CipherInit_ex2(context.get(), nullptr, key.data(), nullptr, direction, nullptr) == 1;
  return done ? std::move(context) : nullptr;
}

ktls::Result<void> Aead::seal(const Nonce& nonce, Bytes associated_data, Bytes plaintext,
                              Bytes trailer, std::span<std::uint8_t> sealed) {
  const ErrorMark mark;
  if (!fits_int(sealed.size()) || !fits_int(associated_data.size()) ||
      sealed.size() != plaintext.size() + trailer.size() + tag_size_) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "Aead::seal: sizes"));
  }
  EVP_CIPHER_CTX* const context = context_.get();
  if (ccm_opening_) return seal_ccm(nonce, associated_data, plaintext, trailer, sealed);
  std::uint8_t* const trailer_sealed = sealed.data() + plaintext.size();
  std::uint8_t* const tag = trailer_sealed + trailer.size();
  int written = 0;
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !update(context, associated_data, nullptr) || !update(context, plaintext, sealed.data()) ||
      !update(context, trailer, trailer_sealed) ||
      EVP_EncryptFinal_ex(context, tag, &written) != 1 || !read_tag(context, {tag, tag_size_})) {
    return ktls::fail(crypto_error("Aead::seal"));
  }
  return {};
}

ktls::Result<void> Aead::open(const Nonce& nonce, Bytes associated_data, Bytes sealed,
                              std::span<std::uint8_t> plaintext) {
  const ErrorMark mark;
  if (!fits_int(sealed.size()) || !fits_int(associated_data.size()) ||
      sealed.size() != plaintext.size() + tag_size_) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "Aead::open: sizes"));
  }
  EVP_CIPHER_CTX* const context = context_.get();
  const Bytes ciphertext = sealed.first(plaintext.size());
  const Bytes tag = sealed.subspan(plaintext.size());
  if (ccm_opening_) return open_ccm(nonce, associated_data, ciphertext, tag, plaintext);
  if (EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !expect_tag(context, tag) || !update(context, associated_data, nullptr) ||
      !update(context, ciphertext, plaintext.data())) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return ktls::fail(crypto_error("Aead::open"));
  }
  // The modes here write nothing in the end.
  std::array<std::uint8_t, EVP_MAX_BLOCK_LENGTH> rest{};
  int written = 0;
  if (EVP_DecryptFinal_ex(context, rest.data(), &written) != 1) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "the authentication tag does not fit");
  }
  return {};
}

// CCM knows the length of its message beforehand (RFC 3610 section 2.2), and takes it in one piece:
// so the pieces are joined in `sealed` first.
ktls::Result<void> Aead::seal_ccm(const Nonce& nonce, Bytes associated_data, Bytes plaintext,
                                  Bytes trailer, std::span<std::uint8_t> sealed) {
  EVP_CIPHER_CTX* const context = context_.get();
  const auto message = sealed.first(sealed.size() - tag_size_);
  if (plaintext.data() != message.data()) std::ranges::copy(plaintext, message.begin());
  std::ranges::copy(trailer, message.subspan(plaintext.size()).begin());
  int written = 0;
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !announce(context, message.size()) || !update(context, associated_data, nullptr) ||
      EVP_EncryptUpdate(context, message.data(), &written, message.data(),
                        static_cast<int>(message.size())) != 1 ||
      !read_tag(context, sealed.last(tag_size_))) {
    return ktls::fail(crypto_error("Aead::seal"));
  }
  return {};
}

// The tag is compared when the message is decrypted: there is no final step that could say no.
ktls::Result<void> Aead::open_ccm(const Nonce& nonce, Bytes associated_data, Bytes ciphertext,
                                  Bytes tag, std::span<std::uint8_t> plaintext) {
  EVP_CIPHER_CTX* const context = ccm_opening_.get();
  if (EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !expect_tag(context, tag) || !announce(context, ciphertext.size()) ||
      !update(context, associated_data, nullptr)) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return ktls::fail(crypto_error("Aead::open"));
  }
  // An empty message has a tag, too; its pointers may not be null.
  std::uint8_t nowhere = 0;
  std::uint8_t* const to = plaintext.empty() ? &nowhere : plaintext.data();
  const std::uint8_t* const from = ciphertext.empty() ? &nowhere : ciphertext.data();
  int written = 0;
  if (EVP_DecryptUpdate(context, to, &written, from, static_cast<int>(ciphertext.size())) != 1) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "the authentication tag does not fit");
  }
  return {};
}

}  // namespace tls
