// The client's sessions: bounds, order, expiry, and how often each may be used.
#include "userspace/handshake/openssl/session_cache.h"

#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace tls::test {
namespace {

// A session that libssl would offer; `id` tells it from others.
SessionPtr session_of(int version, std::uint8_t id) {
  SessionPtr session(SSL_SESSION_new());
  SSL_SESSION_set_protocol_version(session.get(), version);
  SSL_SESSION_set1_id(session.get(), &id, 1);
  SSL_SESSION_set_timeout(session.get(), 300);
  return session;
}

int id_of(const SessionPtr& session) {
  if (!session) return -1;
  unsigned int size = 0;
  const unsigned char* const id = SSL_SESSION_get_id(session.get(), &size);
  return size == 1 ? *id : -1;
}

TEST(SessionCache, AnswersTheNewestFirstAndATls13SessionOnce) {
  SessionCache cache;
  cache.put("name", session_of(TLS1_3_VERSION, 1).get());
  cache.put("name", session_of(TLS1_3_VERSION, 2).get());
  EXPECT_EQ(id_of(cache.take("name")), 2);
  EXPECT_EQ(id_of(cache.take("name")), 1);
  EXPECT_EQ(cache.take("name"), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(SessionCache, AnswersATls12SessionManyTimesAndAsACopy) {
  SessionCache cache;
  cache.put("name", session_of(TLS1_2_VERSION, 1).get());
  const SessionPtr first = cache.take("name");
  const SessionPtr second = cache.take("name");
  EXPECT_EQ(id_of(first), 1);
  EXPECT_EQ(id_of(second), 1);
  EXPECT_NE(first.get(), second.get());
  EXPECT_EQ(cache.size(), 1U);
}

TEST(SessionCache, KeepsACopyOfWhatItIsGiven) {
  SessionCache cache;
  const SessionPtr session = session_of(TLS1_2_VERSION, 1);
  cache.put("name", session.get());
  const unsigned char other = 9;
  SSL_SESSION_set1_id(session.get(), &other, 1);
  EXPECT_EQ(id_of(cache.take("name")), 1);
}

TEST(SessionCache, KeepsNamesApart) {
  SessionCache cache;
  cache.put("a", session_of(TLS1_3_VERSION, 1).get());
  EXPECT_EQ(cache.take("b"), nullptr);
  EXPECT_EQ(id_of(cache.take("a")), 1);
}

TEST(SessionCache, DropsTheOldestSessionOfANameAtItsBound) {
  SessionCache cache;
  for (std::uint8_t id = 0; id < 6; ++id) cache.put("name", session_of(TLS1_3_VERSION, id).get());
  EXPECT_EQ(cache.size(), SessionCache::kSessionsPerNameMax);
  for (const int id : {5, 4, 3, 2}) EXPECT_EQ(id_of(cache.take("name")), id);
  EXPECT_EQ(cache.take("name"), nullptr);
}

TEST(SessionCache, DropsTheNameUnusedForLongestAtItsBound) {
  SessionCache cache;
  const auto name = [](std::size_t number) { return "name" + std::to_string(number); };
  for (std::size_t i = 0; i < SessionCache::kNamesMax; ++i) {
    cache.put(name(i), session_of(TLS1_2_VERSION, 1).get());
  }
  EXPECT_NE(cache.take(name(0)), nullptr);  // used: now name 1 is the one unused for longest
  cache.put("one more", session_of(TLS1_2_VERSION, 1).get());
  EXPECT_EQ(cache.size(), SessionCache::kNamesMax);
  EXPECT_NE(cache.take(name(0)), nullptr);
  EXPECT_EQ(cache.take(name(1)), nullptr);
  EXPECT_NE(cache.take("one more"), nullptr);
}

TEST(SessionCache, DropsWhatHasExpired) {
  SessionCache cache;
  const SessionPtr session = session_of(TLS1_2_VERSION, 1);
  SSL_SESSION_set_time(session.get(), static_cast<long>(std::time(nullptr)) - 301);
  cache.put("name", session.get());
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(cache.take("name"), nullptr);
  EXPECT_EQ(cache.size(), 0U);
}

TEST(SessionCache, ForgetsAName) {
  SessionCache cache;
  cache.put("a", session_of(TLS1_2_VERSION, 1).get());
  cache.put("b", session_of(TLS1_2_VERSION, 2).get());
  cache.forget("a");
  cache.forget("unknown");
  EXPECT_EQ(cache.take("a"), nullptr);
  EXPECT_EQ(id_of(cache.take("b")), 2);
}

TEST(SessionCache, TakesCallsOfManyThreads) {
  SessionCache cache;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&cache, thread] {
      for (int i = 0; i < 500; ++i) {
        const std::string name = "name" + std::to_string((i + thread) % 300);
        cache.put(name, session_of(i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION, 1).get());
        static_cast<void>(cache.take(name));
        if (i % 50 == 0) cache.forget(name);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(cache.size(), SessionCache::kNamesMax * SessionCache::kSessionsPerNameMax);
}

}  // namespace
}  // namespace tls::test
