// TicketKeys: the keys that seal a server's session tickets, changed with time and shared by the
// contexts that follow each other over reloads. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include <openssl/evp.h>

#include "ktls/base/result.h"
#include "ktls/base/secret.h"

namespace tls {

// For how long a session can be resumed (libssl's default).
inline constexpr std::chrono::hours kSessionLifetime{2};

// A ticket of TLS 1.2 holds the master secret of its connection, so whoever gets a ticket key reads
// what was recorded in its time. libssl's own keys live as long as the SSL_CTX; handed on from one
// to the next over reloads, they would live for ever.
class TicketKeys {
 public:
  // A key seals for this long, and then opens for as long again, since its last ticket is good for
  // that long. The first ticket sealed or opened after both wipes it.
  static constexpr std::chrono::hours kSealingLifetime = kSessionLifetime;

  static constexpr std::size_t kNameSize = 16;
  static constexpr std::size_t kIvSize = 16;

  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  explicit TicketKeys(Clock clock = std::chrono::steady_clock::now) : clock_(std::move(clock)) {}

  // Writes the key's name and a fresh IV, and makes both contexts ready to seal one ticket. Error:
  // kCrypto.
  [[nodiscard]] ktls::Result<void> seal(std::span<std::uint8_t, kNameSize> name,
                                        std::span<std::uint8_t, kIvSize> iv, EVP_CIPHER_CTX* cipher,
                                        EVP_MAC_CTX* mac);

  enum class Found : std::uint8_t {
    kNone,      // a key of others, or one too old: the ticket is of no use
    kCurrent,   // both contexts are ready to open it
    kPrevious,  // likewise, and the ticket is to be replaced
  };
  [[nodiscard]] ktls::Result<Found> open(std::span<const std::uint8_t, kNameSize> name,
                                         std::span<const std::uint8_t, kIvSize> iv,
                                         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);

 private:
  static constexpr std::size_t kKeySize = 32;  // AES-256 and HMAC-SHA-256

  struct Key {
    std::array<std::uint8_t, kNameSize> name{};
    ktls::Secret<kKeySize, struct TicketCipherKeyTag> cipher;
    ktls::Secret<kKeySize, struct TicketMacKeyTag> mac;
    std::chrono::steady_clock::time_point made{};
  };

  // Drops what is too old; a current key there may be or not be.
  void retire(std::chrono::steady_clock::time_point now);
  [[nodiscard]] ktls::Result<void> renew(std::chrono::steady_clock::time_point now);
  [[nodiscard]] static bool key_mac(EVP_MAC_CTX* mac, Key& key);

  std::mutex mutex_;
  Clock clock_;
  std::optional<Key> current_;
  std::optional<Key> previous_;
};

}  // namespace tls
