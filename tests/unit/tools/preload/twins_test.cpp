#include "tools/preload/twins.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace preload {
namespace {

ktls::UniqueFd tcp_socket(int family, int flags = 0, int protocol = 0) {
  return ktls::UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, protocol));
}

// Bytes of what the kernel tells; "" where it has no such option.
std::string told(int fd, int level, int name) {
  std::string value(64, '\0');
  socklen_t size = static_cast<socklen_t>(value.size());
  if (::getsockopt(fd, level, name, value.data(), &size) != 0) size = 0;
  value.resize(size);
  return value;
}

template <class Value>
bool set(int fd, int level, int name, const Value& value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

struct Case {
  std::string_view what;
  int family;
  int level;
  int name;
  int value;
};

std::ostream& operator<<(std::ostream& out, const Case& each) {
  return out << each.what;
}

class NumberOfATwin : public testing::TestWithParam<Case> {};

TEST_P(NumberOfATwin, IsThatOfTheSocket) {
  const Case& test = GetParam();
  const ktls::UniqueFd fd = tcp_socket(test.family);
  ASSERT_TRUE(fd);
  const std::string before = told(fd.get(), test.level, test.name);
  if (before.empty()) GTEST_SKIP() << "this kernel has no " << test.what;
  ASSERT_TRUE(set(fd.get(), test.level, test.name, test.value)) << std::strerror(errno);
  const std::string after = told(fd.get(), test.level, test.name);
  ASSERT_NE(after, before) << "the test sets nothing";
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(told(twin.fd.get(), test.level, test.name), after);
}

INSTANTIATE_TEST_SUITE_P(
    Options, NumberOfATwin,
    testing::Values(Case{"SO_RCVBUF", AF_INET, SOL_SOCKET, SO_RCVBUF, 16'384},
                    Case{"SO_SNDBUF", AF_INET6, SOL_SOCKET, SO_SNDBUF, 32'768},
                    Case{"SO_RCVLOWAT", AF_INET, SOL_SOCKET, SO_RCVLOWAT, 99},
                    Case{"SO_KEEPALIVE", AF_INET, SOL_SOCKET, SO_KEEPALIVE, 1},
                    Case{"SO_REUSEADDR", AF_INET, SOL_SOCKET, SO_REUSEADDR, 1},
                    Case{"SO_REUSEPORT", AF_INET, SOL_SOCKET, SO_REUSEPORT, 1},
                    Case{"SO_PRIORITY", AF_INET, SOL_SOCKET, SO_PRIORITY, 3},
                    Case{"SO_DONTROUTE", AF_INET, SOL_SOCKET, SO_DONTROUTE, 1},
                    Case{"SO_OOBINLINE", AF_INET, SOL_SOCKET, SO_OOBINLINE, 1},
                    Case{"SO_MAX_PACING_RATE", AF_INET, SOL_SOCKET, SO_MAX_PACING_RATE, 1'000'000},
                    Case{"IP_TOS", AF_INET, IPPROTO_IP, IP_TOS, 0x10},
                    Case{"IP_TTL", AF_INET, IPPROTO_IP, IP_TTL, 9},
                    Case{"IP_MINTTL", AF_INET, IPPROTO_IP, IP_MINTTL, 5},
                    Case{"IP_RECVERR", AF_INET, IPPROTO_IP, IP_RECVERR, 1},
                    Case{"IP_FREEBIND", AF_INET, IPPROTO_IP, IP_FREEBIND, 1},
                    Case{"IP_MTU_DISCOVER", AF_INET, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
                    Case{"IP_BIND_ADDRESS_NO_PORT", AF_INET, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
                         1},
                    Case{"IPV6_V6ONLY", AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, 1},
                    Case{"IPV6_TCLASS", AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 0x20},
                    Case{"IPV6_UNICAST_HOPS", AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 7},
                    Case{"IPV6_ADDR_PREFERENCES", AF_INET6, IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, 2},
                    Case{"TCP_NODELAY", AF_INET, IPPROTO_TCP, TCP_NODELAY, 1},
                    Case{"TCP_CORK", AF_INET, IPPROTO_TCP, TCP_CORK, 1},
                    Case{"TCP_MAXSEG", AF_INET, IPPROTO_TCP, TCP_MAXSEG, 700},
                    Case{"TCP_KEEPIDLE", AF_INET, IPPROTO_TCP, TCP_KEEPIDLE, 77},
                    Case{"TCP_KEEPINTVL", AF_INET, IPPROTO_TCP, TCP_KEEPINTVL, 7},
                    Case{"TCP_KEEPCNT", AF_INET, IPPROTO_TCP, TCP_KEEPCNT, 3},
                    Case{"TCP_SYNCNT", AF_INET, IPPROTO_TCP, TCP_SYNCNT, 2},
                    Case{"TCP_LINGER2", AF_INET, IPPROTO_TCP, TCP_LINGER2, 5},
                    Case{"TCP_WINDOW_CLAMP", AF_INET, IPPROTO_TCP, TCP_WINDOW_CLAMP, 50'000},
                    Case{"TCP_QUICKACK", AF_INET, IPPROTO_TCP, TCP_QUICKACK, 0},
                    Case{"TCP_USER_TIMEOUT", AF_INET6, IPPROTO_TCP, TCP_USER_TIMEOUT, 5'000},
                    Case{"TCP_NOTSENT_LOWAT", AF_INET, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16'384}));

TEST(Twin, HasOptionsThatAreNoNumbersAsWell) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(set(fd.get(), SOL_SOCKET, SO_RCVTIMEO, timeval{3, 20'000}));
  ASSERT_TRUE(set(fd.get(), SOL_SOCKET, SO_LINGER, linger{1, 5}));
  constexpr std::string_view kAlgorithm = "reno";  // no kernel is without it
  ASSERT_EQ(::setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, kAlgorithm.data(),
                         static_cast<socklen_t>(kAlgorithm.size())),
            0);
  const Twin twin = make_twin(fd.get(), Binding::kNone);
  ASSERT_TRUE(twin.fd) << twin.text;
  for (const int name : {SO_RCVTIMEO, SO_LINGER}) {
    EXPECT_EQ(told(twin.fd.get(), SOL_SOCKET, name), told(fd.get(), SOL_SOCKET, name));
  }
  EXPECT_EQ(std::string(told(twin.fd.get(), IPPROTO_TCP, TCP_CONGESTION).c_str()), kAlgorithm);
}

TEST(Twin, LeavesToTheKernelTheSizesThatWereLeftToIt) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  const std::string chosen = told(fd.get(), SOL_SOCKET, SO_BUF_LOCK);
  const Twin twin = make_twin(fd.get(), Binding::kNone);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(told(twin.fd.get(), SOL_SOCKET, SO_BUF_LOCK), chosen);
}

TEST(Twin, IsOfTheSameFamilyAndProtocol) {
  for (const int family : {AF_INET, AF_INET6}) {
    for (const int protocol : {IPPROTO_TCP, IPPROTO_MPTCP}) {
      const ktls::UniqueFd fd = tcp_socket(family, 0, protocol);
      if (!fd && protocol == IPPROTO_MPTCP) continue;  // net.mptcp.enabled may be 0
      const Twin twin = make_twin(fd.get(), Binding::kNone);
      ASSERT_TRUE(twin.fd) << twin.text;
      for (const int name : {SO_DOMAIN, SO_PROTOCOL, SO_TYPE}) {
        EXPECT_EQ(told(twin.fd.get(), SOL_SOCKET, name), told(fd.get(), SOL_SOCKET, name));
      }
    }
  }
}

TEST(Twin, BlocksAndIsClosedByExec) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET, SOCK_NONBLOCK);
  const Twin twin = make_twin(fd.get(), Binding::kNone);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(::fcntl(twin.fd.get(), F_GETFL), O_RDWR);
  EXPECT_EQ(::fcntl(twin.fd.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Status, IsTakenWithWhomItSignals) {
  const ktls::UniqueFd from = tcp_socket(AF_INET, SOCK_NONBLOCK);
  const ktls::UniqueFd to = tcp_socket(AF_INET);
  std::signal(SIGIO, SIG_IGN);
  ASSERT_EQ(::fcntl(from.get(), F_SETOWN, ::getpid()), 0);
  ASSERT_EQ(::fcntl(from.get(), F_SETSIG, SIGIO), 0);
  ASSERT_EQ(::fcntl(from.get(), F_SETFL, ::fcntl(from.get(), F_GETFL) | O_ASYNC), 0);
  take_status(from.get(), to.get());
  EXPECT_EQ(::fcntl(to.get(), F_GETFL), O_RDWR | O_NONBLOCK | O_ASYNC);
  EXPECT_EQ(::fcntl(to.get(), F_GETOWN), ::getpid());
  EXPECT_EQ(::fcntl(to.get(), F_GETSIG), SIGIO);
}

TEST(Status, IsTakenAsItIsByNow) {
  const ktls::UniqueFd from = tcp_socket(AF_INET);
  const ktls::UniqueFd to = tcp_socket(AF_INET, SOCK_NONBLOCK);
  take_status(from.get(), to.get());
  EXPECT_EQ(::fcntl(to.get(), F_GETFL), O_RDWR);
  EXPECT_EQ(::fcntl(to.get(), F_GETOWN), 0);
}

TEST(Twin, DoesNotDeferItsConnection) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(set(fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1));
  const Twin twin = make_twin(fd.get(), Binding::kNone);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(told(twin.fd.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT), std::string(4, '\0'));
}

std::string address_of(int fd) {
  sockaddr_in6 address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return {reinterpret_cast<const char*>(&address), size};
}

bool bind_to_loopback(int fd, in_port_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = port;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

void check_bound(int fd) {
  const std::string reuse = told(fd, SOL_SOCKET, SO_REUSEADDR);
  EXPECT_TRUE(has_address(fd));
  const Twin twin = make_twin(fd, Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(address_of(twin.fd.get()), address_of(fd));
  for (const int each : {fd, twin.fd.get()}) {
    EXPECT_EQ(told(each, SOL_SOCKET, SO_REUSEADDR), reuse);
  }
}

TEST(Twin, HasTheAddressAndThePort) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  EXPECT_FALSE(has_address(fd.get()));
  ASSERT_TRUE(bind_to_loopback(fd.get()));
  check_bound(fd.get());
}

TEST(Twin, HasTheAddressOfIpv6) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET6);
  EXPECT_FALSE(has_address(fd.get()));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  check_bound(fd.get());
}

TEST(Twin, HasTheAddressOfASocketWithoutAPort) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(set(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1));
  ASSERT_TRUE(bind_to_loopback(fd.get()));
  check_bound(fd.get());
}

TEST(Twin, HasThePortWhereTheAddressIsAny) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  EXPECT_FALSE(has_address(fd.get()));
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(address_of(twin.fd.get()), address_of(fd.get()));
}

// Listens on the port that the kernel gave it; none: no `fd`.
ktls::UniqueFd listener(sockaddr_in& address) {
  ktls::UniqueFd fd = tcp_socket(AF_INET);
  socklen_t size = sizeof address;
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  const bool listens = ::bind(fd.get(), plain, size) == 0 && ::listen(fd.get(), 4) == 0 &&
                       ::getsockname(fd.get(), plain, &size) == 0;
  if (!listens) fd.reset();
  return fd;
}

bool connect_to(int fd, const sockaddr_in& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

TEST(Twin, OfASocketThatWasConnectedHasTheAddressAlone) {
  sockaddr_in peer{};
  const ktls::UniqueFd listening = listener(peer);
  ASSERT_TRUE(listening);
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(bind_to_loopback(fd.get()));
  ASSERT_TRUE(connect_to(fd.get(), peer));
  ASSERT_EQ(::shutdown(fd.get(), SHUT_RDWR), 0);
  const Twin twin = make_twin(fd.get(), Binding::kAddress);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_TRUE(has_address(twin.fd.get()));
  EXPECT_NE(address_of(twin.fd.get()), address_of(fd.get()));
  EXPECT_TRUE(connect_to(twin.fd.get(), peer));
}

// What the kernel has found out of the first connection is nothing that the program chose.
TEST(Twin, OfASocketThatWasConnectedIsAsFreshAsAnyOther) {
  sockaddr_in peer{};
  const ktls::UniqueFd listening = listener(peer);
  ASSERT_TRUE(listening);
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(connect_to(fd.get(), peer));
  ASSERT_EQ(::shutdown(fd.get(), SHUT_RDWR), 0);
  const ktls::UniqueFd fresh = tcp_socket(AF_INET);
  const Twin twin = make_twin(fd.get(), Binding::kNone);
  ASSERT_TRUE(twin.fd) << twin.text;
  for (const int name : {TCP_MAXSEG, TCP_WINDOW_CLAMP, TCP_QUICKACK}) {
    EXPECT_EQ(told(twin.fd.get(), IPPROTO_TCP, name), told(fresh.get(), IPPROTO_TCP, name));
  }
  EXPECT_FALSE(has_address(twin.fd.get()));
}

// A port that a refused connection had, and that is `other`'s by now: unless another process was
// faster, which ten ports in a row make unlikely.
TEST(Twin, DoesWithoutAPortThatTheSocketHasLost) {
  sockaddr_in nobody{};
  ASSERT_TRUE(listener(nobody));  // and closed
  ktls::UniqueFd fd;
  ktls::UniqueFd other;
  bool is_taken = false;
  for (int i = 0; i < 10 && !is_taken; ++i) {
    fd = tcp_socket(AF_INET);
    other = tcp_socket(AF_INET);
    ASSERT_FALSE(connect_to(fd.get(), nobody));
    sockaddr_in lost{};
    socklen_t size = sizeof lost;
    ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&lost), &size), 0);
    if (lost.sin_port == 0) GTEST_SKIP() << "this kernel tells no port that is lost";
    is_taken = bind_to_loopback(other.get(), lost.sin_port);
  }
  ASSERT_TRUE(is_taken);
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_NE(address_of(twin.fd.get()), address_of(fd.get()));
}

TEST(Twin, TakesADeviceThatIsGone) {
  constexpr int kGone = 1'000'000;
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(set(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, kGone)) << std::strerror(errno);
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(told(twin.fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX),
            told(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX));
  sockaddr_in peer{};
  const ktls::UniqueFd listening = listener(peer);
  ASSERT_TRUE(listening);
  EXPECT_FALSE(connect_to(twin.fd.get(), peer));
}

TEST(Twin, TakesTheInterfaceAndTheDeviceTogether) {
  const unsigned index = ::if_nametoindex("lo");
  ASSERT_NE(index, 0U);
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(set(fd.get(), IPPROTO_IP, IP_UNICAST_IF, htonl(index)));
  ASSERT_TRUE(set(fd.get(), SOL_SOCKET, SO_BINDTOIFINDEX, index)) << std::strerror(errno);
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  ASSERT_TRUE(twin.fd) << twin.text;
  EXPECT_EQ(told(twin.fd.get(), IPPROTO_IP, IP_UNICAST_IF),
            told(fd.get(), IPPROTO_IP, IP_UNICAST_IF));
}

TEST(Twin, IsNotMadeWhereItsAddressCannotBeHad) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  ASSERT_TRUE(bind_to_loopback(fd.get()));
  ASSERT_EQ(::listen(fd.get(), 1), 0);  // so that nobody shares its port
  const Twin twin = make_twin(fd.get(), Binding::kSame);
  EXPECT_FALSE(twin.fd);
  EXPECT_EQ(twin.error, EADDRINUSE);
  EXPECT_EQ(twin.text, "the address of its socket cannot be that of another one");
}

TEST(Twin, IsNotMadeInAnotherNetwork) {
  const ktls::UniqueFd fd = tcp_socket(AF_INET);
  bool is_there = false;
  Twin twin;
  std::thread elsewhere([&] {
    is_there = ::unshare(CLONE_NEWNET) == 0;
    if (is_there) twin = make_twin(fd.get(), Binding::kNone);
  });
  elsewhere.join();
  if (!is_there) GTEST_SKIP() << "making a network namespace takes a privilege";
  EXPECT_FALSE(twin.fd);
  EXPECT_EQ(twin.error, ENETUNREACH);
}

TEST(Twin, IsNotMadeWithoutADescriptor) {
  const Twin twin = make_twin(-1, Binding::kNone);
  EXPECT_FALSE(twin.fd);
  EXPECT_NE(twin.error, 0);
  EXPECT_EQ(twin.text, "");
}

}  // namespace
}  // namespace preload
