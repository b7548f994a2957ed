// KeyChain: the keys of one direction, one after the other, from its traffic secret (RFC 8446
// section 7.2).
#pragma once

#include <cstdint>
#include <utility>

#include "ktls/base/result.h"
#include "userspace/record/connection_state.h"
#include "userspace/schedule/traffic_keys.h"
#include "userspace/suite/cipher_suite.h"

namespace bridge {

// Holds the one copy of the secret that the present key came from.
class KeyChain {
 public:
  // `secret` is empty where there is no next key: before TLS 1.3, or where nobody could use it.
  KeyChain(const tls::CipherSuite& suite, tls::TrafficSecret secret)
      : suite_(&suite), secret_(std::move(secret)) {}

  [[nodiscard]] bool has_next() const { return !secret_.empty(); }

  // The state of application_traffic_secret_N+1, at sequence number 0. Errors: kUnsupported without
  // a next key; kCrypto, after which the chain stands where it was.
  [[nodiscard]] ktls::Result<tls::ConnectionState> next();

  // The present key a second time, at `sequence`: to open records with. Whoever sealed with it
  // would use nonces twice. Errors: those of next().
  [[nodiscard]] ktls::Result<tls::ConnectionState> same_for_opening(std::uint64_t sequence) const;

 private:
  [[nodiscard]] ktls::Result<tls::ConnectionState> state_of(const tls::TrafficSecret& secret,
                                                            std::uint64_t sequence) const;

  const tls::CipherSuite* suite_;
  tls::TrafficSecret secret_;
};

}  // namespace bridge
