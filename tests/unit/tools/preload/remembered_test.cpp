#include "tools/preload/remembered.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <gtest/gtest.h>
#include <netinet/tcp.h>

namespace preload {
namespace {

TEST(RememberedOptions, AreFoundByLevelAndName) {
  Wrapped wrapped;
  EXPECT_EQ(find_option(wrapped, IPPROTO_TCP, TCP_NODELAY), nullptr);
  remember_option(wrapped, {IPPROTO_TCP, TCP_NODELAY, 1});
  remember_option(wrapped, {IPPROTO_IP, TCP_NODELAY, 7});
  ASSERT_NE(find_option(wrapped, IPPROTO_TCP, TCP_NODELAY), nullptr);
  EXPECT_EQ(find_option(wrapped, IPPROTO_TCP, TCP_NODELAY)->value, 1);
  EXPECT_EQ(find_option(wrapped, IPPROTO_IP, TCP_NODELAY)->value, 7);
}

TEST(RememberedOptions, AreReplacedByALaterValue) {
  Wrapped wrapped;
  remember_option(wrapped, {IPPROTO_TCP, TCP_NODELAY, 1});
  remember_option(wrapped, {IPPROTO_TCP, TCP_NODELAY, 0});
  EXPECT_EQ(wrapped.option_count, 1U);
  EXPECT_EQ(find_option(wrapped, IPPROTO_TCP, TCP_NODELAY)->value, 0);
}

TEST(RememberedOptions, AreForgottenFromTheOldestOn) {
  Wrapped wrapped;
  const int last = static_cast<int>(kRememberedOptions);
  for (int name = 0; name <= last; ++name) remember_option(wrapped, {IPPROTO_IP, name, name});
  EXPECT_EQ(find_option(wrapped, IPPROTO_IP, 0), nullptr);
  for (int name = 1; name <= last; ++name) {
    ASSERT_NE(find_option(wrapped, IPPROTO_IP, name), nullptr);
    EXPECT_EQ(find_option(wrapped, IPPROTO_IP, name)->value, name);
  }
}

sockaddr_in6 ipv4_address() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(443);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 any{};
  std::memcpy(&any, &address, sizeof address);
  return any;
}

TEST(ToldAddress, IsAsLongAsItsFamily) {
  sockaddr_storage room{};
  auto* const to = reinterpret_cast<sockaddr*>(&room);
  socklen_t size = sizeof room;
  EXPECT_EQ(tell_address(ipv4_address(), to, &size), 0);
  EXPECT_EQ(size, sizeof(sockaddr_in));
  EXPECT_EQ(reinterpret_cast<sockaddr_in*>(to)->sin_port, htons(443));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  size = sizeof room;
  EXPECT_EQ(tell_address(address, to, &size), 0);
  EXPECT_EQ(size, sizeof(sockaddr_in6));
}

TEST(ToldAddress, IsCutOffAndItsWholeLengthTold) {
  std::array<unsigned char, sizeof(sockaddr_in)> room{};
  room.fill(0xee);
  socklen_t size = 4;
  EXPECT_EQ(tell_address(ipv4_address(), reinterpret_cast<sockaddr*>(room.data()), &size), 0);
  EXPECT_EQ(size, sizeof(sockaddr_in));
  const sockaddr_in6 whole = ipv4_address();
  EXPECT_EQ(std::memcmp(room.data(), &whole, 4), 0);
  EXPECT_EQ(room[4], 0xee);
}

TEST(ToldAddress, IsRefusedWithoutRoom) {
  sockaddr_storage room{};
  socklen_t size = static_cast<socklen_t>(-1);
  EXPECT_EQ(tell_address(ipv4_address(), reinterpret_cast<sockaddr*>(&room), &size), EINVAL);
  EXPECT_EQ(tell_address(ipv4_address(), nullptr, &size), EFAULT);
  EXPECT_EQ(tell_address(ipv4_address(), reinterpret_cast<sockaddr*>(&room), nullptr), EFAULT);
}

}  // namespace
}  // namespace preload
