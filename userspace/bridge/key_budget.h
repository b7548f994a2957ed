// KeyBudget: how many records may still be sealed with the present key (RFC 8446 section 5.5), from
// a count that need not be read after every record.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "userspace/io/timer.h"
#include "userspace/suite/cipher_suite.h"

namespace bridge {

// How keys are changed while a connection lives (RFC 8446 section 4.6.3).
//   records_max            records that may be sealed with one key, the KeyUpdate which ends it
//                          included: at least 2. 0: what the AEAD allows (BulkCipher::record_limit)
//                          in TLS 1.3, and no limit before
//   update_interval        between two KeyUpdates that the budget asks for, at least: GnuTLS ends a
//                          connection that has more than 8 a second
//   peer_updates_a_second  KeyUpdates of the peer; one more, and the connection ends
//   key_wait_max           until a kernel that says nothing is asked whether it waits for a key
struct KeyPolicy {
  std::uint64_t records_max = 0;
  std::chrono::milliseconds update_interval{250};
  std::uint32_t peer_updates_a_second = 100;
  std::chrono::milliseconds key_wait_max{5'000};
};

// The limit that holds for a connection.
[[nodiscard]] constexpr std::uint64_t record_limit(const KeyPolicy& policy,
                                                   tls::ProtocolVersion version,
                                                   const tls::CipherSuite& suite) {
  if (policy.records_max != 0) return std::max<std::uint64_t>(policy.records_max, 2);
  // RFC 5246 has no KeyUpdate and names no limit; nothing but the sequence number ends a key there.
  if (version < tls::ProtocolVersion::kTls13) return tls::kNoRecordLimit;
  return suite.bulk_cipher->record_limit;
}

// Counts from above: what it says is left is left, perhaps more.
class KeyBudget {
 public:
  // `limit`: records under one key, the last of which is kept for the KeyUpdate. `used`: those that
  // the handshake has sealed with the first one.
  KeyBudget(std::uint64_t limit, std::uint64_t used, std::chrono::milliseconds update_interval)
      : limit_(limit), used_max_(used), update_interval_(update_interval) {}

  // Records that may certainly be sealed before the KeyUpdate.
  [[nodiscard]] std::uint64_t left() const {
    const std::uint64_t kept = limit_ - 1;
    return used_max_ < kept ? kept - used_max_ : 0;
  }
  // So many may have been sealed since the last word.
  void spend(std::uint64_t records_max) {
    used_max_ += std::min(records_max, UINT64_MAX - used_max_);
  }
  // So many have been sealed with this key; `open`: the kernel collects another one.
  void learn(std::uint64_t used, bool open = false) { used_max_ = used + (open ? 1 : 0); }

  // A new key is in use, from `now` on.
  void renew(Clock::time_point now) {
    used_max_ = 0;
    next_update_ = now + update_interval_;
  }
  // When the budget may ask for another one.
  [[nodiscard]] Clock::time_point next_update() const { return next_update_; }

 private:
  std::uint64_t limit_;
  std::uint64_t used_max_;
  std::chrono::milliseconds update_interval_;
  Clock::time_point next_update_{};
};

}  // namespace bridge
