// TicketKeys: the keys that seal a server's session tickets: its own, changed with time, or those
// that it is given. Shared by the contexts that follow each other over reloads. Thread-safe.
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
#include <vector>

#include <openssl/evp.h>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/ticket_key.h"

namespace tls {

// For how long a session can be resumed (libssl's default).
inline constexpr std::chrono::hours kSessionLifetime{2};

// A ticket of TLS 1.2 holds the master secret of its connection, so whoever gets a ticket key reads
// what was recorded in its time. libssl's own keys live as long as the SSL_CTX; handed on from one
// to the next over reloads, they would live for ever.
class TicketKeys {
 public:
  // A key of its own seals for this long, and then opens for as long again, since its last ticket
  // is good for that long. The first ticket sealed or opened after both wipes it.
  static constexpr std::chrono::hours kSealingLifetime = kSessionLifetime;

  static constexpr std::size_t kNameSize = TicketKey::kNameSize;
  static constexpr std::size_t kIvSize = 16;

  using Clock = std::function<std::chrono::steady_clock::time_point()>;

  explicit TicketKeys(Clock clock = std::chrono::steady_clock::now) : clock_(std::move(clock)) {}

  // From now on the first of `keys` seals and all of them open, instead of those before and of its
  // own; they are as old as whoever gives them lets them be. Of none, it has keys of its own again.
  void use(std::vector<TicketKey> keys);

  // Writes the key's name and a fresh IV, and makes both contexts ready to seal one ticket. Error:
  // kCrypto.
  [[nodiscard]] ktls::Result<void> seal(std::span<std::uint8_t, kNameSize> name,
                                        std::span<std::uint8_t, kIvSize> iv, EVP_CIPHER_CTX* cipher,
                                        EVP_MAC_CTX* mac);

  enum class Found : std::uint8_t {
    kNone,      // a key of others, or one too old: the ticket is of no use
    kCurrent,   // the key that seals: both contexts are ready to open it
    kPrevious,  // another: likewise, and the ticket is to be replaced
  };
  [[nodiscard]] ktls::Result<Found> open(std::span<const std::uint8_t, kNameSize> name,
                                         std::span<const std::uint8_t, kIvSize> iv,
                                         EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);

 private:
  struct OwnKey {
    TicketKey key;
    std::chrono::steady_clock::time_point made{};
  };

  // Drops what is too old; a current key there may be or not be.
  void retire(std::chrono::steady_clock::time_point now);
  [[nodiscard]] ktls::Result<void> renew(std::chrono::steady_clock::time_point now);
  // The key that seals. Error: kCrypto.
  [[nodiscard]] ktls::Result<TicketKey*> sealing();
  // Null: no key has that name.
  [[nodiscard]] TicketKey* find(std::span<const std::uint8_t, kNameSize> name);

  std::mutex mutex_;
  Clock clock_;
  std::vector<TicketKey> given_;
  // While none are given.
  std::optional<OwnKey> current_;
  std::optional<OwnKey> previous_;
};

}  // namespace tls
