// One Context of each side, shared by threads that all do handshakes.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/userspace/handshake/peers.h"
#include "userspace/handshake/openssl/handshake.h"

namespace tls::test {
namespace {

TEST(SharedContext, ServesHandshakesOfManyThreadsAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kHandshakes = 25;
  std::atomic<int> lines = 0;
  auto server_options = pki().serve({.dns_names = {"a.test", "b.test"}});
  server_options.keylog = [&lines](std::string_view) { ++lines; };
  const auto server_context = make_server(server_options);
  const auto tls12 = make_client(only_version(pki().trust(), ProtocolVersion::kTls12));
  const auto tls13 = make_client(only_version(pki().trust(), ProtocolVersion::kTls13));

  std::atomic<int> resumed = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kHandshakes; ++i) {
        const auto& client_context = (i + thread) % 2 == 0 ? tls12 : tls13;
        const std::string name = i % 3 == 0 ? "a.test" : "b.test";
        OurPeer client(client_context, Role::kClient, name);
        OurPeer server(server_context, Role::kServer);
        converse(client, server);
        const Bytes tickets = client.inbox();
        Connection ours = finish(client);
        Connection theirs = finish(server);
        EXPECT_EQ(ours.open(tickets), "");
        EXPECT_EQ(theirs.open(ours.seal("text")), "text");
        EXPECT_EQ(ours.negotiated().peer_name, name);
        if (ours.negotiated().resumed) ++resumed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(resumed, kThreads * kHandshakes / 2);
  EXPECT_GE(lines, kThreads * kHandshakes);
}

}  // namespace
}  // namespace tls::test
