// Where directions run, as the kernel at hand tells it.
#include "ktls/observe/placement.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "ktls/core/capability.h"
#include "ktls/core/socket.h"
#include "tests/support/kernel_contract.h"

namespace ktls {
namespace {

constexpr uid_t kNobody = 65534;

struct Connection {
  UniqueFd client;
  UniqueFd server;
};

struct Route {
  std::string name;
  int family;
  in6_addr address;  // of IPv6 sockets
  const char* device;
};

const in6_addr kMapped = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}};
const std::array<Route, 4> kRoutes = {{{"IPv4", AF_INET, {}, nullptr},
                                       {"IPv6", AF_INET6, in6addr_loopback, nullptr},
                                       {"IPv4 on an IPv6 socket", AF_INET6, kMapped, nullptr},
                                       {"bound to a device", AF_INET, {}, "lo"}}};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address local_address(const Route& route) {
  Address address;
  if (route.family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(address.storage);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_addr = route.address;
    address.size = sizeof in6;
  }
  return address;
}

UniqueFd new_socket(const Route& route) {
  UniqueFd fd(::socket(route.family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (route.device != nullptr) {
    const std::string device = route.device;
    EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.data(),
                           static_cast<socklen_t>(device.size())),
              0);
  }
  return fd;
}

Connection connect(const Route& route) {
  const UniqueFd listener = new_socket(route);
  Address address = local_address(route);
  EXPECT_EQ(::bind(listener.get(), address.get(), address.size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), address.get(), &address.size), 0);
  Connection connection;
  connection.client = new_socket(route);
  EXPECT_EQ(::connect(connection.client.get(), address.get(), address.size), 0);
  connection.server = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return connection;
}

class RefusingDiag final : public SocketDiag {
 public:
  Result<std::optional<UlpInfo>> ulp_info(int /*fd*/) override {
    return fail(Error::system(EPERM, "sock_diag"));
  }
};

class RunningPlacement : public ::testing::Test {
 protected:
  void SetUp() override {
    if (probe().attach_errno == 0) return;
    if (std::getenv("KTLS_BRIDGE_REQUIRE_KTLS") != nullptr) FAIL() << "no kernel TLS here";
    GTEST_SKIP() << "no kernel TLS here";
  }

  static SocketPlacement observe(int fd, SocketDiag& diag = system_socket_diag()) {
    const auto placement = observe_placement(fd, system_calls(), diag);
    EXPECT_TRUE(placement.has_value());
    return placement ? *placement : SocketPlacement{};
  }
};

void expect_places(const SocketPlacement& placement, ObservedPlace transmit,
                   ObservedPlace receive) {
  EXPECT_EQ(name_of(placement.transmit), name_of(transmit));
  EXPECT_EQ(name_of(placement.receive), name_of(receive));
}

TEST_F(RunningPlacement, FollowsEachInstallOnEveryRoute) {
  for (const Route& route : kRoutes) {
    SCOPED_TRACE(route.name);
    const Connection connection = connect(route);
    TlsSocket socket(connection.client.get());
    expect_places(observe(socket.fd()), ObservedPlace::kUserspace, ObservedPlace::kUserspace);
    ASSERT_TRUE(socket.attach().has_value());
    expect_places(observe(socket.fd()), ObservedPlace::kUserspace, ObservedPlace::kUserspace);
    EXPECT_EQ(observe(socket.fd()).version, 0);

    const CryptoInfo info = contract_info(Cipher::kAes256Gcm, Version::kTls13);
    ASSERT_TRUE(socket.install(Direction::kTransmit, info).has_value());
    SocketPlacement placement = observe(socket.fd());
    expect_places(placement, ObservedPlace::kKernel, ObservedPlace::kUserspace);
    EXPECT_EQ(name_of(placement.unseen), name_of(Unseen::kNothing)) << placement.sys_errno;
    ASSERT_TRUE(socket.install(Direction::kReceive, info).has_value());
    expect_places(observe(socket.fd()), ObservedPlace::kKernel, ObservedPlace::kKernel);

    // The other end has its own.
    expect_places(observe(connection.server.get()), ObservedPlace::kUserspace,
                  ObservedPlace::kUserspace);
  }
}

TEST_F(RunningPlacement, NamesEveryVersionAndCipher) {
  RefusingDiag refusing;
  int named = 0;
  for (const Suite& suite : all_suites()) {
    SCOPED_TRACE(name_of(suite));
    const Connection connection = connect(kRoutes[0]);
    TlsSocket socket(connection.client.get());
    ASSERT_TRUE(socket.attach().has_value());
    const auto installed =
        socket.install(Direction::kReceive, contract_info(suite.cipher, suite.version));
    if (!installed && installed.error().sys_errno == ENOENT) continue;  // no such AEAD was built
    ASSERT_TRUE(installed) << installed.error().message();
    ++named;
    for (SocketDiag* diag : std::initializer_list<SocketDiag*>{&system_socket_diag(), &refusing}) {
      const SocketPlacement placement = observe(socket.fd(), *diag);
      EXPECT_EQ(placement.version, static_cast<std::uint16_t>(suite.version));
      EXPECT_EQ(placement.cipher, static_cast<std::uint16_t>(suite.cipher));
    }
  }
  EXPECT_GE(named, 8) << "AES-GCM, AES-CCM and ChaCha20 in both versions";
}

TEST_F(RunningPlacement, DoesNotTellKernelAndCardApartBySocketOptions) {
  const Connection connection = connect(kRoutes[0]);
  TlsSocket socket(connection.client.get());
  ASSERT_TRUE(socket.attach().has_value());
  ASSERT_TRUE(
      socket.install(Direction::kTransmit, contract_info(Cipher::kAes128Gcm, Version::kTls12))
          .has_value());
  RefusingDiag refusing;
  const SocketPlacement placement = observe(socket.fd(), refusing);
  expect_places(placement, ObservedPlace::kKernelOrNic, ObservedPlace::kUserspace);
  EXPECT_EQ(name_of(placement.unseen), name_of(Unseen::kNoSocketDiag));
  EXPECT_EQ(placement.sys_errno, EPERM);
}

TEST_F(RunningPlacement, IsNeverWrongWithoutPrivileges) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become nobody";
  const Connection connection = connect(kRoutes[0]);
  TlsSocket socket(connection.client.get());
  ASSERT_TRUE(socket.attach().has_value());
  ASSERT_TRUE(
      socket.install(Direction::kTransmit, contract_info(Cipher::kAes128Gcm, Version::kTls13))
          .has_value());
  // The effective capabilities go with the effective user.
  ASSERT_EQ(::seteuid(kNobody), 0);
  const SocketPlacement placement = observe(socket.fd());
  ASSERT_EQ(::seteuid(0), 0);
  const bool is_told = placement.unseen == Unseen::kNothing;
  expect_places(placement, is_told ? ObservedPlace::kKernel : ObservedPlace::kKernelOrNic,
                ObservedPlace::kUserspace);
  EXPECT_TRUE(is_told || placement.unseen == Unseen::kUlpInfoHidden);
  RecordProperty("unprivileged", std::string(name_of(placement.transmit)));
  std::printf("without CAP_NET_ADMIN: %s\n", std::string(name_of(placement.transmit)).c_str());
}

TEST(HeldSockets, AreFoundForAsLongAsAnyDescriptorLeadsToThem) {
  for (const Route& route : kRoutes) {
    SCOPED_TRACE(route.name);
    Connection connection = connect(route);
    const auto identity = identity_of(connection.client.get());
    ASSERT_TRUE(identity) << identity.error().message();
    auto seen = find_held_socket(*identity, false);
    ASSERT_TRUE(seen) << seen.error().message();
    ASSERT_TRUE(seen->has_value());
    struct stat status {};
    ASSERT_EQ(::fstat(connection.client.get(), &status), 0);
    EXPECT_EQ((*seen)->inode, status.st_ino);
    EXPECT_EQ((*seen)->bytes_sent, 0U);

    ASSERT_EQ(::send(connection.client.get(), "twelve bytes", 12, 0), 12);
    seen = find_held_socket(*identity, true);
    ASSERT_TRUE(seen && *seen);
    EXPECT_EQ((*seen)->bytes_sent, 12U);

    UniqueFd copy(::dup(connection.client.get()));
    connection.client.reset();
    seen = find_held_socket(*identity, true);
    EXPECT_TRUE(seen && *seen);
    // What the other end does not read keeps the socket, which nobody has any more.
    copy.reset();
    seen = find_held_socket(*identity, true);
    ASSERT_TRUE(seen && *seen);
    EXPECT_EQ((*seen)->inode, 0U);
    connection.server.reset();
    seen = find_held_socket(*identity, true);
    EXPECT_TRUE(seen && !*seen);
    const auto never_seen = find_held_socket(*identity, false);
    ASSERT_FALSE(never_seen);
    EXPECT_EQ(never_seen.error().sys_errno, EOPNOTSUPP);
  }
}

// TCP has finished with it, and knows it no more, while a process still has it and reads from it.
TEST(HeldSockets, AreNotFoundOnceBothSidesHaveEnded) {
  Connection connection = connect(kRoutes[0]);
  const int ends[] = {connection.client.get(), connection.server.get()};
  std::vector<SocketIdentity> identities;
  for (const int end : ends) {
    ASSERT_EQ(::send(end, "unread", 6, 0), 6);
    const auto identity = identity_of(end);
    ASSERT_TRUE(identity) << identity.error().message();
    identities.push_back(*identity);
  }
  // The first to end is in TIME_WAIT, and the other one in no state any more.
  for (const int end : ends) ASSERT_EQ(::shutdown(end, SHUT_WR), 0);
  for (std::size_t index = 0; index < identities.size(); ++index) {
    SCOPED_TRACE(index == 0 ? "the first to end" : "the last to end");
    auto seen = find_held_socket(identities[index], true);
    for (int look = 0; look < 100 && seen && *seen; ++look) {
      ::usleep(10'000);
      seen = find_held_socket(identities[index], true);
    }
    EXPECT_TRUE(seen && !*seen);
    char unread[6] = {};
    EXPECT_EQ(::recv(ends[index], unread, sizeof unread, 0), 6);
  }
}

// A socket of another user's connection that came after on the same addresses is not this one.
TEST_F(RunningPlacement, OutlivesTheConnection) {
  Connection connection = connect(kRoutes[0]);
  TlsSocket socket(connection.client.get());
  ASSERT_TRUE(socket.attach().has_value());
  const CryptoInfo info = contract_info(Cipher::kAes128Gcm, Version::kTls13);
  ASSERT_TRUE(socket.install(Direction::kTransmit, info).has_value());
  const linger hard = {.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(connection.server.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
  connection.server.reset();
  const SocketPlacement placement = observe(socket.fd());
  expect_places(placement, ObservedPlace::kKernelOrNic, ObservedPlace::kUserspace);
  EXPECT_EQ(name_of(placement.unseen), name_of(Unseen::kNoSocketDiag));
  EXPECT_EQ(placement.sys_errno, ENOTCONN);
}

}  // namespace
}  // namespace ktls
