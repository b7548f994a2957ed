// The sockets of several threads must be like that of a single one.
#include "tools/ktls-bridge/listeners.h"

#include <cerrno>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>

namespace tools {
namespace {

constexpr unsigned kThreads[] = {1, 2};

std::vector<std::vector<ktls::UniqueFd>> listeners(const std::string& text, unsigned threads) {
  SocketFiles files;
  auto inherited = InheritedSockets::from({}, 3);
  auto made = make_listeners({parse_address(text).value()}, threads, files, inherited);
  EXPECT_TRUE(made) << made.error().message();
  return made ? *std::move(made) : std::vector<std::vector<ktls::UniqueFd>>();
}

int option(const ktls::UniqueFd& fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd.get(), level, name, &value, &size), 0);
  return value;
}

TEST(Listeners, OfAllAddressesHaveOneSocketForIpv4AndOneForIpv6) {
  for (const unsigned threads : kThreads) {
    const auto made = listeners(":0", threads);
    ASSERT_EQ(made.size(), threads);
    std::size_t of_ipv6 = 0;
    for (const auto& sockets : made) {
      for (const ktls::UniqueFd& socket : sockets) {
        if (local_address(socket.get())->family() != AF_INET6) continue;
        ++of_ipv6;
        EXPECT_EQ(option(socket, IPPROTO_IPV6, IPV6_V6ONLY), 1) << threads << " threads";
      }
    }
    if (of_ipv6 == 0) GTEST_SKIP() << "no IPv6 here";
    EXPECT_EQ(of_ipv6, threads);
  }
}

TEST(Listeners, OfOneIpv6AddressTakeIpv4IfTheSystemDoes) {
  const auto alone = listen_on(resolve(parse_address("[::]:0").value(), true)->at(0), false);
  if (!alone) GTEST_SKIP() << "no IPv6 here";
  for (const unsigned threads : kThreads) {
    for (const auto& sockets : listeners("[::]:0", threads)) {
      ASSERT_EQ(sockets.size(), 1U);
      EXPECT_EQ(option(sockets[0], IPPROTO_IPV6, IPV6_V6ONLY),
                option(*alone, IPPROTO_IPV6, IPV6_V6ONLY));
    }
  }
}

TEST(Listeners, OfSeveralThreadsShareAPortAndListen) {
  const auto made = listeners("127.0.0.1:0", 2);
  ASSERT_EQ(made.size(), 2U);
  EXPECT_EQ(local_text(made[0].at(0).get()), local_text(made[1].at(0).get()));
  for (const auto& sockets : made) EXPECT_EQ(option(sockets.at(0), SOL_SOCKET, SO_ACCEPTCONN), 1);
}

TEST(Listeners, JoinNoPortThatAnotherProgramShares) {
  const auto other = listen_on(resolve(parse_address("127.0.0.1:0").value(), true)->at(0), true);
  ASSERT_TRUE(other);
  const Address taken = parse_address(local_text(other->get())).value();
  for (const unsigned threads : kThreads) {
    SocketFiles files;
    auto inherited = InheritedSockets::from({}, 3);
    const auto made = make_listeners({taken}, threads, files, inherited);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().sys_errno, EADDRINUSE);
  }
}

}  // namespace
}  // namespace tools
