#include "ktls/observe/placement.h"

#include <array>
#include <cerrno>
#include <string>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "ktls/core/linux_tls.h"
#include "ktls/core/socket.h"
#include "tests/support/fake_kernel.h"

namespace ktls {
namespace {

constexpr std::uint16_t kTls13Number = 0x0304;

// Answers what the test says, and counts.
class ToldDiag final : public SocketDiag {
 public:
  explicit ToldDiag(Result<std::optional<UlpInfo>> answer) : answer_(std::move(answer)) {}
  Result<std::optional<UlpInfo>> ulp_info(int /*fd*/) override {
    ++questions;
    return answer_;
  }
  int questions = 0;

 private:
  Result<std::optional<UlpInfo>> answer_;
};

ToldDiag told(TlsInfo info) {
  return ToldDiag(std::optional(UlpInfo{.name = "tls", .tls = info}));
}
ToldDiag silent() {
  return ToldDiag(std::optional<UlpInfo>());
}
ToldDiag refusing(int sys_errno) {
  return ToldDiag(fail(Error::system(sys_errno, "sock_diag")));
}

class Placements : public ::testing::Test {
 protected:
  Placements() {
    EXPECT_EQ(kernel_.tcp_pair(pair_), 0);
    EXPECT_TRUE(socket().attach().has_value());
  }

  int fd() const { return pair_[0]; }
  TlsSocket socket() { return TlsSocket(fd(), kernel_); }
  void install(Direction direction) {
    RecordKeys keys;
    keys.key = RecordKey(std::array<std::uint8_t, 16>{});
    keys.iv = RecordIv(std::array<std::uint8_t, 12>{});
    const auto info = encode(keys);
    ASSERT_TRUE(info.has_value());
    ASSERT_TRUE(socket().install(direction, *info).has_value());
  }
  SocketPlacement observe(SocketDiag& diag) {
    const auto placement = observe_placement(fd(), kernel_, diag);
    EXPECT_TRUE(placement.has_value());
    return placement ? *placement : SocketPlacement{};
  }

  FakeKernel kernel_;
  int pair_[2] = {-1, -1};
};

TEST_F(Placements, AreThoseOfSockDiagWhereItTells) {
  struct Case {
    TlsConf conf;
    ObservedPlace place;
  };
  for (const Case& expected :
       {Case{TlsConf::kBase, ObservedPlace::kUserspace},
        Case{TlsConf::kSoftware, ObservedPlace::kKernel},
        Case{TlsConf::kDevice, ObservedPlace::kNic}, Case{TlsConf::kRecord, ObservedPlace::kNic}}) {
    SCOPED_TRACE(name_of(expected.place));
    ToldDiag transmit = told({.version = kTls13Number, .cipher = 51, .transmit = expected.conf});
    SocketPlacement placement = observe(transmit);
    EXPECT_EQ(placement.transmit, expected.place);
    EXPECT_EQ(placement.receive, ObservedPlace::kUserspace);
    EXPECT_EQ(placement.version, kTls13Number);
    EXPECT_EQ(placement.cipher, 51);
    EXPECT_EQ(placement.unseen, Unseen::kNothing);

    ToldDiag receive = told({.version = kTls13Number, .cipher = 51, .receive = expected.conf});
    placement = observe(receive);
    EXPECT_EQ(placement.transmit, ObservedPlace::kUserspace);
    EXPECT_EQ(placement.receive, expected.place);
  }
}

TEST_F(Placements, AreUnknownForANumberOfALaterKernel) {
  ToldDiag diag = told({.transmit = static_cast<TlsConf>(9)});
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kUnknown);
  EXPECT_EQ(placement.receive, ObservedPlace::kUserspace);
  EXPECT_EQ(placement.unseen, Unseen::kConfUnknown);
}

TEST_F(Placements, DoNotTellKernelAndCardApartWhereSockDiagKeepsSilent) {
  install(Direction::kTransmit);
  ToldDiag diag = silent();
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kKernelOrNic);
  EXPECT_EQ(placement.receive, ObservedPlace::kUserspace);
  EXPECT_EQ(placement.version, kTls13Number);
  EXPECT_EQ(placement.cipher, static_cast<std::uint16_t>(Cipher::kAes128Gcm));
  EXPECT_EQ(placement.unseen, Unseen::kUlpInfoHidden);
  EXPECT_EQ(placement.sys_errno, 0);
}

TEST_F(Placements, SayWhySockDiagDidNotAnswer) {
  install(Direction::kReceive);
  ToldDiag diag = refusing(ENOENT);
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kUserspace);
  EXPECT_EQ(placement.receive, ObservedPlace::kKernelOrNic);
  EXPECT_EQ(placement.unseen, Unseen::kNoSocketDiag);
  EXPECT_EQ(placement.sys_errno, ENOENT);
}

TEST_F(Placements, AreSurelyUserspaceWithoutKeysEvenWhereSockDiagKeepsSilent) {
  ToldDiag diag = silent();
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kUserspace);
  EXPECT_EQ(placement.receive, ObservedPlace::kUserspace);
  EXPECT_EQ(placement.version, 0);
  EXPECT_EQ(placement.unseen, Unseen::kNothing);
}

TEST_F(Placements, AreUnknownWhereNothingAnswers) {
  install(Direction::kTransmit);
  kernel_.fail_always(FakeCall::kReadKeys, EPERM);
  ToldDiag diag = refusing(EACCES);
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kUnknown);
  EXPECT_EQ(placement.receive, ObservedPlace::kUnknown);
  EXPECT_EQ(placement.unseen, Unseen::kOptionsRefused);
  EXPECT_EQ(placement.sys_errno, EPERM);
}

TEST_F(Placements, ComeFromSockDiagWhereTheOptionsAreRefused) {
  kernel_.fail_always(FakeCall::kReadUlp, EPERM);
  ToldDiag diag = told({.transmit = TlsConf::kSoftware, .receive = TlsConf::kSoftware});
  const SocketPlacement placement = observe(diag);
  EXPECT_EQ(placement.transmit, ObservedPlace::kKernel);
  EXPECT_EQ(placement.receive, ObservedPlace::kKernel);
}

TEST_F(Placements, AskSockDiagOnlyForSocketsThatCarryTls) {
  ToldDiag diag = silent();
  int plain[2] = {-1, -1};
  ASSERT_EQ(kernel_.tcp_pair(plain), 0);
  const int smc = kernel_.tcp_socket();
  kernel_.attach_other_ulp(smc, "smc");
  for (const int other : {plain[0], smc, kernel_.udp_socket()}) {
    const auto placement = observe_placement(other, kernel_, diag);
    ASSERT_TRUE(placement.has_value());
    EXPECT_EQ(placement->transmit, ObservedPlace::kUserspace);
    EXPECT_EQ(placement->receive, ObservedPlace::kUserspace);
    EXPECT_EQ(placement->unseen, Unseen::kNothing);
  }
  EXPECT_EQ(diag.questions, 0);
}

TEST_F(Placements, RefuseWhatIsNoSocket) {
  ToldDiag diag = silent();
  const auto placement = observe_placement(-1, kernel_, diag);
  ASSERT_FALSE(placement.has_value());
  EXPECT_EQ(placement.error().sys_errno, EBADF);
}

TEST(PlacementNames, AreOneForEachValue) {
  EXPECT_EQ(name_of(ObservedPlace::kUserspace), "userspace");
  EXPECT_EQ(name_of(ObservedPlace::kKernel), "kernel");
  EXPECT_EQ(name_of(ObservedPlace::kNic), "nic");
  EXPECT_EQ(name_of(ObservedPlace::kKernelOrNic), "kernel-or-nic");
  EXPECT_EQ(name_of(ObservedPlace::kUnknown), "unknown");
  EXPECT_EQ(name_of(Unseen::kNothing), "none");
  EXPECT_EQ(name_of(Unseen::kUlpInfoHidden), "ulp_info_hidden");
  EXPECT_EQ(name_of(Unseen::kNoSocketDiag), "no_socket_diag");
  EXPECT_EQ(name_of(Unseen::kOptionsRefused), "options_refused");
  EXPECT_EQ(name_of(Unseen::kConfUnknown), "conf_unknown");
}

}  // namespace
}  // namespace ktls
