// Fetching over the default library context, then over one with the legacy provider.
#include "userspace/crypto/evp_cipher.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>
#include <openssl/provider.h>

#include "userspace/crypto/openssl_error.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;

// Lives as long as the process: ciphers are used by threads that may outlive static objects.
OSSL_LIB_CTX* legacy_library() {
  static OSSL_LIB_CTX* const library = [] {
    OSSL_LIB_CTX* const made = OSSL_LIB_CTX_new();
    if (made != nullptr && OSSL_PROVIDER_load(made, "legacy") == nullptr) {
      OSSL_LIB_CTX_free(made);
      return static_cast<OSSL_LIB_CTX*>(nullptr);
    }
    return made;
  }();
  return library;
}

Cipher fetch(std::string_view name) {
  const std::string text(name);
  if (Cipher cipher{EVP_CIPHER_fetch(nullptr, text.c_str(), nullptr)}) return cipher;
  OSSL_LIB_CTX* const library = legacy_library();
  if (library == nullptr) return nullptr;
  return Cipher(EVP_CIPHER_fetch(library, text.c_str(), nullptr));
}

// A cipher that has been asked for; null: this libcrypto does not offer it.
struct Slot {
  std::once_flag once;
  Cipher cipher;
};

// By the rows of bulk_ciphers(); as long as the process, as above.
std::vector<Slot>& slots() {
  static auto& slots = *new std::vector<Slot>(bulk_ciphers().size());
  return slots;
}

}  // namespace

// EVP_CIPHER_fetch takes locks and searches providers, so it is done once a process; and not before
// a cipher is wanted, as who has no use for old ones is to be spared the legacy provider.
ktls::Result<const evp_cipher_st*> evp_cipher_of(const BulkCipher& cipher) {
  const auto row = std::ranges::find(bulk_ciphers(), cipher.evp_name, &BulkCipher::evp_name);
  const evp_cipher_st* found = nullptr;
  if (row != bulk_ciphers().end() && !cipher.evp_name.empty()) {
    Slot& slot = slots()[static_cast<std::size_t>(row - bulk_ciphers().begin())];
    std::call_once(slot.once, [&] {
      const ErrorMark mark;
      slot.cipher = fetch(cipher.evp_name);
    });
    found = slot.cipher.get();
  }
  if (found == nullptr) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                "libcrypto does not offer " + std::string(cipher.evp_name)));
  }
  return found;
}

ktls::Result<void> check_available(const CipherSuite& suite) {
  if (suite.bulk_cipher->evp_name.empty()) return {};
  auto cipher = evp_cipher_of(*suite.bulk_cipher);
  if (!cipher) return ktls::fail(std::move(cipher).error());
  return {};
}

}  // namespace tls
