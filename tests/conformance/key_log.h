// KeyLog: the secrets of one connection, as a TLS library tells them in lines of the NSS key log
// format. Thread-safe: the library writes while the wire is watched.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "userspace/schedule/traffic_keys.h"

namespace conformance {

class KeyLog {
 public:
  // "LABEL <client random> <secret>", both in hex; the client random is the only connection's.
  void append(std::string_view line);

  // The secret of that label, empty while no line has told it. "CLIENT_RANDOM" is the master secret
  // of TLS 1.2, the others are traffic secrets of TLS 1.3.
  [[nodiscard]] tls::TrafficSecret secret(std::string_view label) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, tls::TrafficSecret, std::less<>> secrets_;
};

}  // namespace conformance
