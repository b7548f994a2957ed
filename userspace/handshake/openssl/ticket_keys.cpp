// Ticket keys by RFC 5077 section 4: AES in CBC mode, then HMAC-SHA-256, both libcrypto's.
#include "userspace/handshake/openssl/ticket_keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "userspace/handshake/openssl/error_queue.h"

namespace tls {

using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

namespace {

const EVP_CIPHER* cipher_of(const TicketKey& key) {
  return key.cipher.size() == TicketKey::kSizeShort ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
}

// Both parameters are read only, though their type does not say so.
bool key_mac(EVP_MAC_CTX* mac, TicketKey& key) {
  std::array<char, 7> digest = {"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.mutable_bytes().data(),
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

}  // namespace

void TicketKeys::retire(std::chrono::steady_clock::time_point now) {
  if (previous_ && now - previous_->made >= 2 * kSealingLifetime) previous_.reset();
  if (!current_ || now - current_->made < kSealingLifetime) return;
  previous_.reset();
  if (now - current_->made < 2 * kSealingLifetime) previous_ = std::move(current_);
  current_.reset();
}

Result<void> TicketKeys::renew(std::chrono::steady_clock::time_point now) {
  constexpr std::size_t kSize = TicketKey::kSizeMax;
  OwnKey own{.key = {.name = {},
                     .cipher = decltype(TicketKey::cipher)::with_size(kSize),
                     .mac = decltype(TicketKey::mac)::with_size(kSize)},
             .made = now};
  if (RAND_bytes(own.key.name.data(), kNameSize) != 1 ||
      RAND_priv_bytes(own.key.cipher.mutable_bytes().data(), kSize) != 1 ||
      RAND_priv_bytes(own.key.mac.mutable_bytes().data(), kSize) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "a session ticket key"));
  }
  current_ = std::move(own);
  return {};
}

void TicketKeys::use(std::vector<TicketKey> keys) {
  const std::lock_guard lock(mutex_);
  given_ = std::move(keys);
  current_.reset();
  previous_.reset();
}

Result<TicketKey*> TicketKeys::sealing() {
  if (!given_.empty()) return &given_.front();
  const auto now = clock_();
  retire(now);
  if (!current_) {
    if (auto renewed = renew(now); !renewed) return fail(renewed.error());
  }
  return &current_->key;
}

TicketKey* TicketKeys::find(std::span<const std::uint8_t, kNameSize> name) {
  const auto is_named = [&](const TicketKey& key) { return std::ranges::equal(key.name, name); };
  const auto given = std::ranges::find_if(given_, is_named);
  if (given != given_.end()) return &*given;
  retire(clock_());
  for (std::optional<OwnKey>* const own : {&current_, &previous_}) {
    if (*own && is_named((*own)->key)) return &(*own)->key;
  }
  return nullptr;
}

Result<void> TicketKeys::seal(std::span<std::uint8_t, kNameSize> name,
                              std::span<std::uint8_t, kIvSize> iv, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  KTLS_TRY(TicketKey* const key, sealing());
  std::ranges::copy(key->name, name.begin());
  if (RAND_bytes(iv.data(), kIvSize) != 1 ||
      EVP_EncryptInit_ex(cipher, cipher_of(*key), nullptr, key->cipher.bytes().data(), iv.data()) !=
          1 ||
      !key_mac(mac, *key)) {
    return fail(openssl_error(ErrorCode::kCrypto, "sealing a session ticket"));
  }
  return {};
}

Result<TicketKeys::Found> TicketKeys::open(std::span<const std::uint8_t, kNameSize> name,
                                           std::span<const std::uint8_t, kIvSize> iv,
                                           EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  TicketKey* const key = find(name);
  if (key == nullptr) return Found::kNone;
  if (EVP_DecryptInit_ex(cipher, cipher_of(*key), nullptr, key->cipher.bytes().data(), iv.data()) !=
          1 ||
      !key_mac(mac, *key)) {
    return fail(openssl_error(ErrorCode::kCrypto, "opening a session ticket"));
  }
  const bool seals = given_.empty() ? current_ && key == &current_->key : key == &given_.front();
  return seals ? Found::kCurrent : Found::kPrevious;
}

}  // namespace tls
