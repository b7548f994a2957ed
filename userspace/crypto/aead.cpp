// Aead over EVP_CIPHER of OpenSSL 3.
#include "userspace/crypto/aead.h"

#include <algorithm>
#include <climits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "userspace/crypto/openssl_error.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using Bytes = std::span<const std::uint8_t>;

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};

struct FetchedCipher {
  std::string_view evp_name;
  std::unique_ptr<EVP_CIPHER, FreeCipher> cipher;  // null: this libcrypto does not offer it
};

// EVP_CIPHER_fetch takes locks and searches providers, so it is done once a process.
const EVP_CIPHER* fetched_cipher(const BulkCipher& cipher) {
  static const std::vector<FetchedCipher> fetched = [] {
    std::vector<FetchedCipher> rows;
    for (const BulkCipher& row : bulk_ciphers()) {
      rows.push_back({row.evp_name, std::unique_ptr<EVP_CIPHER, FreeCipher>(EVP_CIPHER_fetch(
                                        nullptr, std::string(row.evp_name).c_str(), nullptr))});
    }
    return rows;
  }();
  const auto row = std::ranges::find(fetched, cipher.evp_name, &FetchedCipher::evp_name);
  return row == fetched.end() ? nullptr : row->cipher.get();
}

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
  const EVP_CIPHER* evp_cipher = fetched_cipher(cipher);
  if (evp_cipher == nullptr) {
    return ktls::fail(
        Error::of(ErrorCode::kUnsupported, "EVP_CIPHER_fetch: no " + std::string(cipher.evp_name)));
  }
  Context context(EVP_CIPHER_CTX_new());
  // Keyed for encryption: the ciphers here are counter modes, whose key schedule has no direction,
  // and each operation sets its own direction together with the nonce.
  if (!context ||
      EVP_EncryptInit_ex2(context.get(), evp_cipher, key.data(), nullptr, nullptr) != 1) {
    return ktls::fail(crypto_error("EVP_EncryptInit_ex2"));
  }
  if (EVP_CIPHER_CTX_get_iv_length(context.get()) != static_cast<int>(kAeadNonceSize)) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, "Aead: nonce size is not 12"));
  }
  return Aead(std::move(context), cipher.tag_size);
}

ktls::Result<void> Aead::seal(const Nonce& nonce, Bytes associated_data, Bytes plaintext,
                              Bytes trailer, std::span<std::uint8_t> sealed) {
  const ErrorMark mark;
  if (!fits_int(sealed.size()) || !fits_int(associated_data.size()) ||
      sealed.size() != plaintext.size() + trailer.size() + tag_size_) {
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "Aead::seal: sizes"));
  }
  EVP_CIPHER_CTX* const context = context_.get();
  std::uint8_t* const trailer_sealed = sealed.data() + plaintext.size();
  std::uint8_t* const tag = trailer_sealed + trailer.size();
  int written = 0;
  if (EVP_EncryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !update(context, associated_data, nullptr) || !update(context, plaintext, sealed.data()) ||
      !update(context, trailer, trailer_sealed) ||
      EVP_EncryptFinal_ex(context, tag, &written) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag_size_), tag) != 1) {
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
  // EVP_CIPHER_CTX_ctrl wants a tag that it may write to, and `sealed` is const.
  std::array<std::uint8_t, kTagSizeMax> tag{};
  std::ranges::copy(sealed.subspan(plaintext.size()), tag.begin());
  if (EVP_DecryptInit_ex2(context, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag_size_),
                          tag.data()) != 1 ||
      !update(context, associated_data, nullptr) ||
      !update(context, ciphertext, plaintext.data())) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return ktls::fail(crypto_error("Aead::open"));
  }
  int written = 0;
  if (EVP_DecryptFinal_ex(context, tag.data(), &written) != 1) {
    OPENSSL_cleanse(plaintext.data(), plaintext.size());
    return refuse(ErrorCode::kBadRecordMac, AlertDescription::kBadRecordMac,
                  "the authentication tag does not fit");
  }
  return {};
}

}  // namespace tls
