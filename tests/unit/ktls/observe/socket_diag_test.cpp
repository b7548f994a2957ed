#include "ktls/observe/socket_diag.h"

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/core/linux_tls.h"
#include "ktls/core/syscalls.h"

namespace ktls {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeaderSize = 4;
constexpr std::uint16_t kNested = 0x8000;  // NLA_F_NESTED
constexpr std::uint16_t kMemoryInfo = INET_DIAG_MEMINFO;

// struct nlattr, in the order of this machine, padded to four bytes.
Bytes attribute(std::uint16_t type, const Bytes& payload) {
  const auto size = static_cast<std::uint16_t>(kHeaderSize + payload.size());
  Bytes bytes(kHeaderSize);
  std::memcpy(bytes.data(), &size, sizeof size);
  std::memcpy(&bytes[2], &type, sizeof type);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  bytes.resize((bytes.size() + 3) / 4 * 4);
  return bytes;
}

Bytes number(std::uint16_t type, std::uint16_t value) {
  Bytes payload(sizeof value);
  std::memcpy(payload.data(), &value, sizeof value);
  return attribute(type, payload);
}

Bytes text(std::uint16_t type, std::string_view value) {
  Bytes payload(value.begin(), value.end());
  payload.push_back(0);
  return attribute(type, payload);
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// What 6.12 answers for a socket with both directions in software.
Bytes tls_attributes() {
  const Bytes inside =
      joined({number(TLS_INFO_VERSION, 0x0304), number(TLS_INFO_CIPHER, 52),
              number(TLS_INFO_TXCONF, TLS_CONF_HW), number(TLS_INFO_RXCONF, TLS_CONF_SW)});
  const Bytes ulp = joined({text(INET_ULP_INFO_NAME, "tls"), attribute(INET_ULP_INFO_TLS, inside)});
  return joined({attribute(kMemoryInfo, Bytes(16)), attribute(INET_DIAG_ULP_INFO, ulp)});
}

TEST(UlpInfo, IsReadFromTheAttributes) {
  const auto info = decode_ulp_info(tls_attributes());
  ASSERT_TRUE(info.has_value() && info->has_value());
  EXPECT_EQ((*info)->name, "tls");
  ASSERT_TRUE((*info)->tls.has_value());
  EXPECT_EQ((*info)->tls->version, 0x0304);
  EXPECT_EQ((*info)->tls->cipher, 52);
  EXPECT_EQ((*info)->tls->transmit, TlsConf::kDevice);
  EXPECT_EQ((*info)->tls->receive, TlsConf::kSoftware);
}

TEST(UlpInfo, MayBeMarkedAsNestedAndHoldWhatIsNotKnownHere) {
  const Bytes inside =
      joined({number(TLS_INFO_TXCONF, TLS_CONF_BASE), number(TLS_INFO_RXCONF, TLS_CONF_BASE),
              attribute(TLS_INFO_MAX + 7, Bytes(2)), attribute(TLS_INFO_ZC_RO_TX, {})});
  const Bytes ulp =
      joined({text(INET_ULP_INFO_NAME, "tls"), attribute(kNested | INET_ULP_INFO_TLS, inside)});
  const auto info = decode_ulp_info(attribute(kNested | INET_DIAG_ULP_INFO, ulp));
  ASSERT_TRUE(info.has_value() && info->has_value() && (*info)->tls);
  EXPECT_EQ((*info)->tls->version, 0);
  EXPECT_EQ((*info)->tls->cipher, 0);
}

TEST(UlpInfo, IsAbsentWhereNoProtocolIsNamed) {
  for (const Bytes& attributes : {Bytes(), attribute(kMemoryInfo, Bytes(16))}) {
    const auto info = decode_ulp_info(attributes);
    ASSERT_TRUE(info.has_value());
    EXPECT_FALSE(info->has_value());
  }
}

TEST(UlpInfo, NamesOtherProtocolsWithoutTls) {
  const auto info =
      decode_ulp_info(attribute(INET_DIAG_ULP_INFO, text(INET_ULP_INFO_NAME, "mptcp")));
  ASSERT_TRUE(info.has_value() && info->has_value());
  EXPECT_EQ((*info)->name, "mptcp");
  EXPECT_FALSE((*info)->tls.has_value());
}

TEST(UlpInfo, IsRefusedWhereItDoesNotParse) {
  const Bytes name = text(INET_ULP_INFO_NAME, "tls");
  const Bytes short_number = attribute(TLS_INFO_TXCONF, {1});
  const Bytes no_conf = number(TLS_INFO_VERSION, 0x0304);
  for (const Bytes& ulp : {Bytes(), joined({name, attribute(INET_ULP_INFO_TLS, short_number)}),
                           joined({name, attribute(INET_ULP_INFO_TLS, no_conf)}),
                           joined({name, attribute(INET_ULP_INFO_TLS, {})}),
                           attribute(INET_ULP_INFO_NAME, {'t', 'l', 's'})}) {
    const auto info = decode_ulp_info(attribute(INET_DIAG_ULP_INFO, ulp));
    ASSERT_FALSE(info.has_value());
    EXPECT_EQ(info.error().code, ErrorCode::kDecodeError);
  }
}

// Each byte of a good answer is cut off, or is another one: nothing outside of it may be read,
// which ASan sees.
TEST(UlpInfo, IsReadWithinItsBounds) {
  const Bytes whole = tls_attributes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    static_cast<void>(decode_ulp_info(cut));
    for (const int value : {0x00, 0x01, 0x03, 0x7f, 0xff}) {
      Bytes other = whole;
      other[size] = static_cast<std::uint8_t>(value);
      static_cast<void>(decode_ulp_info(other));
    }
  }
}

TEST(SystemSocketDiag, SaysNothingOfAPlainConnection) {
  int pair[2] = {-1, -1};
  ASSERT_EQ(system_calls().tcp_pair(pair), 0);
  const auto info = system_socket_diag().ulp_info(pair[0]);
  ::close(pair[0]);
  ::close(pair[1]);
  if (!info) GTEST_SKIP() << info.error().message();
  EXPECT_FALSE(info->has_value());
}

TEST(SystemSocketDiag, RefusesWhatIsNotConnected) {
  const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int local = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto of_tcp = system_socket_diag().ulp_info(tcp);
  const auto of_local = system_socket_diag().ulp_info(local);
  const auto of_nothing = system_socket_diag().ulp_info(-1);
  ::close(tcp);
  ::close(local);
  ASSERT_FALSE(of_tcp.has_value());
  EXPECT_EQ(of_tcp.error().sys_errno, ENOTCONN);
  ASSERT_FALSE(of_local.has_value());
  EXPECT_EQ(of_local.error().sys_errno, EAFNOSUPPORT);
  ASSERT_FALSE(of_nothing.has_value());
  EXPECT_EQ(of_nothing.error().sys_errno, EBADF);
}

}  // namespace
}  // namespace ktls
