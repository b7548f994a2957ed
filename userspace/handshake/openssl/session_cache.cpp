// The client's sessions: a list in order of use, and an index into it by name.
#include "userspace/handshake/openssl/session_cache.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace tls {
namespace {

// SSL_SESSION_get_timeout() is the client's own idea of how long a session lives; the server says
// its own with the ticket (RFC 5077 section 3.3, RFC 8446 section 4.6.1). The shorter one counts.
bool usable(const SSL_SESSION* session, std::time_t now) {
  long lifetime_s = SSL_SESSION_get_timeout(session);
  const unsigned long hint_s = SSL_SESSION_get_ticket_lifetime_hint(session);
  if (SSL_SESSION_has_ticket(session) != 0 && hint_s != 0) {
    lifetime_s = std::min(lifetime_s, static_cast<long>(hint_s));
  }
  return SSL_SESSION_is_resumable(session) != 0 && now < SSL_SESSION_get_time(session) + lifetime_s;
}

}  // namespace

void SessionCache::put(const std::string& key, const SSL_SESSION* session) {
  SessionPtr copy(SSL_SESSION_dup(session));
  if (!copy) return;
  const std::scoped_lock lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) {
    if (entries_.size() == kNamesMax) erase(std::prev(entries_.end()));
    entries_.push_front(Entry{key, {}});
    index_[key] = entries_.begin();
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  auto& sessions = entries_.front().sessions;
  if (sessions.size() == kSessionsPerNameMax) sessions.pop_front();
  sessions.push_back(std::move(copy));
}

SessionPtr SessionCache::take(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  const auto entry = found->second;
  entries_.splice(entries_.begin(), entries_, entry);

  const std::time_t now = std::time(nullptr);
  std::erase_if(entry->sessions,
                [now](const auto& session) { return !usable(session.get(), now); });
  SessionPtr taken;
  if (!entry->sessions.empty()) {
    auto& newest = entry->sessions.back();
    if (SSL_SESSION_get_protocol_version(newest.get()) == TLS1_3_VERSION) {
      taken = std::move(newest);
      entry->sessions.pop_back();
    } else {
      taken.reset(SSL_SESSION_dup(newest.get()));
    }
  }
  if (entry->sessions.empty()) erase(entry);
  return taken;
}

void SessionCache::forget(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = index_.find(key); found != index_.end()) erase(found->second);
}

std::size_t SessionCache::size() const {
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  for (const auto& entry : entries_) count += entry.sessions.size();
  return count;
}

void SessionCache::erase(std::list<Entry>::iterator entry) {
  index_.erase(entry->key);
  entries_.erase(entry);
}

}  // namespace tls
