// Fetching over the default library context, then over one with the legacy provider.
#include "userspace/crypto/evp_cipher.h"

#include <algorithm>
#include <memory>
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

struct FetchedCipher {
  std::string_view evp_name;
  Cipher cipher;  // null: this libcrypto does not offer it
};

}  // namespace

// EVP_CIPHER_fetch takes locks and searches providers, so it is done once a process.
ktls::Result<const evp_cipher_st*> evp_cipher_of(const BulkCipher& cipher) {
  static const auto& fetched = *[] {
    const ErrorMark mark;
    auto* const rows = new std::vector<FetchedCipher>;  // as long as the process, as above
    for (const BulkCipher& row : bulk_ciphers()) {
      if (row.evp_name.empty()) continue;
      rows->push_back({row.evp_name, fetch(row.evp_name)});
    }
    return rows;
  }();
  const auto row = std::ranges::find(fetched, cipher.evp_name, &FetchedCipher::evp_name);
  if (row == fetched.end() || !row->cipher) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                "libcrypto does not offer " + std::string(cipher.evp_name)));
  }
  return row->cipher.get();
}

ktls::Result<void> check_available(const CipherSuite& suite) {
  if (suite.bulk_cipher->evp_name.empty()) return {};
  auto cipher = evp_cipher_of(*suite.bulk_cipher);
  if (!cipher) return ktls::fail(std::move(cipher).error());
  return {};
}

}  // namespace tls
