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

void TicketKeys::retire(std::chrono::steady_clock::time_point now) {
  if (previous_ && now - previous_->made >= 2 * kSealingLifetime) previous_.reset();
  if (!current_ || now - current_->made < kSealingLifetime) return;
  previous_.reset();
  if (now - current_->made < 2 * kSealingLifetime) previous_ = std::move(current_);
  current_.reset();
}

Result<void> TicketKeys::renew(std::chrono::steady_clock::time_point now) {
  Key key{.cipher = decltype(Key::cipher)::with_size(kKeySize),
          .mac = decltype(Key::mac)::with_size(kKeySize),
          .made = now};
  if (RAND_bytes(key.name.data(), kNameSize) != 1 ||
      RAND_priv_bytes(key.cipher.mutable_bytes().data(), kKeySize) != 1 ||
      RAND_priv_bytes(key.mac.mutable_bytes().data(), kKeySize) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "a session ticket key"));
  }
  current_ = std::move(key);
  return {};
}

// Both parameters are read only, though their type does not say so.
bool TicketKeys::key_mac(EVP_MAC_CTX* mac, Key& key) {
  std::array<char, 7> digest = {"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.mutable_bytes().data(),
                                        key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

Result<void> TicketKeys::seal(std::span<std::uint8_t, kNameSize> name,
                              std::span<std::uint8_t, kIvSize> iv, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_();
  retire(now);
  if (!current_) {
    if (auto renewed = renew(now); !renewed) return renewed;
  }
  std::ranges::copy(current_->name, name.begin());
  if (RAND_bytes(iv.data(), kIvSize) != 1 ||
      EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, current_->cipher.bytes().data(),
                         iv.data()) != 1 ||
      !key_mac(mac, *current_)) {
    return fail(openssl_error(ErrorCode::kCrypto, "sealing a session ticket"));
  }
  return {};
}

Result<TicketKeys::Found> TicketKeys::open(std::span<const std::uint8_t, kNameSize> name,
                                           std::span<const std::uint8_t, kIvSize> iv,
                                           EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  retire(clock_());
  const auto is_named = [&](const std::optional<Key>& key) {
    return key && std::ranges::equal(key->name, name);
  };
  const bool current = is_named(current_);
  if (!current && !is_named(previous_)) return Found::kNone;
  Key& key = current ? *current_ : *previous_;
  if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.bytes().data(),
                         iv.data()) != 1 ||
      !key_mac(mac, key)) {
    return fail(openssl_error(ErrorCode::kCrypto, "opening a session ticket"));
  }
  return current ? Found::kCurrent : Found::kPrevious;
}

}  // namespace tls
