// SessionCache: the sessions a client may resume, by the peer they belong to. Bounded, thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "userspace/handshake/openssl/pointers.h"

namespace tls {

class SessionCache {
 public:
  // A client that walks the web must not remember all of it: the name unused for longest goes.
  static constexpr std::size_t kNamesMax = 256;
  // Servers send two tickets a connection; four serve some parallel connections. The oldest goes.
  static constexpr std::size_t kSessionsPerNameMax = 4;

  // Keeps a copy of `session` for `key`. A copy, as libssl goes on using its own object in the
  // thread of its connection.
  void put(const std::string& key, const SSL_SESSION* session);

  // The newest session of `key` that is neither expired nor refused, or null. A TLS 1.3 session
  // leaves the cache with it, since a ticket seen twice links connections (RFC 8446 appendix C.4);
  // a TLS 1.2 session stays until it expires, and the caller has a copy.
  [[nodiscard]] SessionPtr take(const std::string& key);

  // Drops all sessions of `key`: they led to a handshake that failed.
  void forget(const std::string& key);

  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::deque<SessionPtr> sessions;  // oldest first
  };

  void erase(std::list<Entry>::iterator entry);

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // used last: first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace tls
