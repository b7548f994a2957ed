#include "tools/common/address.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace tools {
namespace {

using Kind = Address::Kind;

struct GoodAddress {
  std::string_view text;
  std::string_view host;
  std::string_view path;
  std::string_view written;  // by text(), if it differs
  std::uint16_t port;
  Kind kind;
};

constexpr GoodAddress kGood[] = {
    {"127.0.0.1:80", "127.0.0.1", "", "", 80, Kind::kTcp},
    {"example.org:443", "example.org", "", "", 443, Kind::kTcp},
    {"localhost:0", "localhost", "", "", 0, Kind::kTcp},
    {"localhost:65535", "localhost", "", "", 65535, Kind::kTcp},
    {":8443", "", "", "", 8443, Kind::kTcp},
    {"[::1]:80", "::1", "", "", 80, Kind::kTcp},
    {"[::]:8443", "::", "", "", 8443, Kind::kTcp},
    {"[fe80::1%lo]:80", "fe80::1%lo", "", "", 80, Kind::kTcp},
    {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", "", "", 80, Kind::kTcp},
    {"host:00080", "host", "", "host:80", 80, Kind::kTcp},
    {"unix:/run/app.sock", "", "/run/app.sock", "", 0, Kind::kUnix},
    {"unix:relative", "", "relative", "", 0, Kind::kUnix},
    {"unix:/a:b:80", "", "/a:b:80", "", 0, Kind::kUnix},
};

TEST(ParseAddress, TakesHostsBracketsAndPaths) {
  for (const GoodAddress& good : kGood) {
    SCOPED_TRACE(good.text);
    const auto address = parse_address(good.text);
    ASSERT_TRUE(address) << address.error().detail;
    EXPECT_EQ(address->kind, good.kind);
    EXPECT_EQ(address->host, good.host);
    EXPECT_EQ(address->port, good.port);
    EXPECT_EQ(address->path, good.path);
    EXPECT_EQ(address->text(), good.written.empty() ? good.text : good.written);
  }
}

struct Malformed {
  std::string_view text;
  std::string_view why;
};

constexpr Malformed kMalformed[] = {
    {"", "there is no port"},
    {"localhost", "there is no port"},
    {"8443", "there is no port"},
    {"localhost:", "the port is not a number"},
    {"localhost:http", "the port is not a number"},
    {"localhost:80x", "the port is not a number"},
    {"localhost: 80", "the port is not a number"},
    {"localhost:+80", "the port is not a number"},
    {"localhost:-1", "the port is not a number"},
    {"localhost:65536", "the port is not a number"},
    {"localhost:99999999999999999999", "the port is not a number"},
    {"::1:80", "needs brackets"},
    {"::", "needs brackets"},
    {"fe80::1", "needs brackets"},
    {"[::1]", "there is no port"},
    {"[::1:80", "'[' without ']'"},
    {"[]:80", "not an IPv6 address"},
    {"[127.0.0.1]:80", "not an IPv6 address"},
    {"[localhost]:80", "not an IPv6 address"},
    {"[::1]x:80", "']' without ':' after it"},
    {"http://localhost:80", "needs brackets"},
    {"unix:", "the path is empty"},
};

TEST(ParseAddress, SaysWhatIsWrongAndWhatWasExpected) {
  for (const Malformed& malformed : kMalformed) {
    SCOPED_TRACE(malformed.text);
    const auto address = parse_address(malformed.text);
    ASSERT_FALSE(address);
    EXPECT_EQ(address.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().detail.find(malformed.why), std::string::npos)
        << address.error().detail;
    EXPECT_NE(address.error().detail.find("'" + std::string(malformed.text) + "'"),
              std::string::npos);
    EXPECT_NE(address.error().detail.find("expected HOST:PORT"), std::string::npos);
  }
}

TEST(ParseAddress, TakesAPathThatFitsAndNoLongerOne) {
  const std::string fits = "unix:" + std::string(107, 'a');
  EXPECT_TRUE(parse_address(fits));
  const auto too_long = parse_address(fits + "a");
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().detail.find("longer than 107 bytes"), std::string::npos);
}

std::vector<SocketAddress> resolved(std::string_view text, bool for_listening = true) {
  return resolve(parse_address(text).value(), for_listening).value();
}

TEST(Resolve, KeepsNumericAddressesAsTheyAre) {
  EXPECT_EQ(resolved("127.0.0.1:80").at(0).text(), "127.0.0.1:80");
  EXPECT_EQ(resolved("[::1]:80").at(0).text(), "[::1]:80");
  EXPECT_EQ(resolved("unix:/run/x").at(0).text(), "unix:/run/x");
  EXPECT_FALSE(resolved(":80").empty());
}

TEST(SocketAddress, IsTakenApartAsItIsWritten) {
  struct {
    std::string_view text, host;
    std::uint16_t port;
  } constexpr kCases[] = {{"192.0.2.1:40312", "192.0.2.1", 40312},
                          {"[2001:db8::1]:65535", "2001:db8::1", 65535},
                          {"[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", 1},
                          {"unix:/run/1:80", "unix", 0}};
  for (const auto& c : kCases) {
    const SocketAddress address = resolved(c.text, false).at(0);
    EXPECT_EQ(address.host_text(), c.host);
    EXPECT_EQ(address.port(), c.port) << c.text;
    EXPECT_EQ(address.text(), c.text);
  }
}

TEST(SocketAddress, OfNoFamilyIsAQuestionMark) {
  EXPECT_EQ(peer_text(-1), "?");
  EXPECT_EQ(peer_address(-1).host_text(), "?");
  EXPECT_EQ(peer_address(-1).port(), 0);
}

TEST(Resolve, SaysWhichNameIsNotKnown) {
  const auto found = resolve(parse_address("no-such-host.invalid:80").value(), false);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().detail.find("cannot resolve 'no-such-host.invalid:80'"),
            std::string::npos)
      << found.error().detail;
}

TEST(ListenOn, NamesTheAddressThatIsBusy) {
  const auto first = listen_on(resolved("127.0.0.1:0").at(0), false);
  ASSERT_TRUE(first);
  const std::string text = local_text(first->get());
  EXPECT_EQ(text.rfind("127.0.0.1:", 0), 0U);
  const auto second = listen_on(resolved(text).at(0), false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno, EADDRINUSE);
  EXPECT_NE(second.error().detail.find(text), std::string::npos) << second.error().detail;
}

TEST(ListenOn, SharesAPortBetweenThreadsOnly) {
  const auto first = listen_on(resolved("127.0.0.1:0").at(0), true);
  ASSERT_TRUE(first);
  const SocketAddress same = resolved(local_text(first->get())).at(0);
  EXPECT_TRUE(listen_on(same, true));
  EXPECT_FALSE(listen_on(same, false));
}

TEST(BindTo, HoldsAPortAndTakesNoConnection) {
  const auto bound = bind_to(resolved("127.0.0.1:0").at(0), false);
  ASSERT_TRUE(bound);
  const SocketAddress address = local_address(bound->get()).value();
  const auto refused = connect_within({address}, std::chrono::seconds(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, ECONNREFUSED);
}

TEST(BindTo, NamesTheAddressThatIsBusy) {
  const auto first = listen_on(resolved("127.0.0.1:0").at(0), true);
  ASSERT_TRUE(first);
  const SocketAddress address = local_address(first->get()).value();
  const auto second = bind_to(address, false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno, EADDRINUSE);
  EXPECT_NE(second.error().detail.find(address.text()), std::string::npos);
}

TEST(SocketAddress, TakesAnotherPort) {
  for (const std::string host : {"127.0.0.1", "[::1]"}) {
    SocketAddress address = resolved(host + ":80").at(0);
    address.set_port(8443);
    EXPECT_EQ(address.text(), host + ":8443");
  }
  SocketAddress path = resolved("unix:/run/x").at(0);
  path.set_port(8443);
  EXPECT_EQ(path.text(), "unix:/run/x");
}

class UnixPath : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(directory_.data()), nullptr); }
  void TearDown() override {
    ::unlink(path().c_str());
    ::rmdir(directory_.c_str());
  }
  [[nodiscard]] std::string path() const { return directory_ + "/socket"; }
  [[nodiscard]] SocketAddress address() const { return resolved("unix:" + path()).at(0); }

 private:
  std::string directory_ = testing::TempDir() + "ktls-address-XXXXXX";
};

TEST_F(UnixPath, OfADeadProcessIsReplaced) {
  { const auto dead = listen_on(address(), false).value(); }
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0) << "nothing was left over";
  EXPECT_TRUE(listen_on(address(), false));
}

TEST_F(UnixPath, OfALivingProcessIsLeftAlone) {
  const auto living = listen_on(address(), false);
  ASSERT_TRUE(living);
  const auto second = listen_on(address(), false);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno, EADDRINUSE);
  EXPECT_TRUE(connect_within({address()}, std::chrono::seconds(1)));
}

TEST_F(UnixPath, OfAFileIsLeftAlone) {
  FILE* const file = ::fopen(path().c_str(), "w");
  ASSERT_NE(file, nullptr);
  ::fclose(file);
  EXPECT_FALSE(listen_on(address(), false));
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_TRUE(S_ISREG(status.st_mode));
}

TEST(ConnectWithin, TriesOneAddressAfterTheOther) {
  const auto listener = listen_on(resolved("127.0.0.1:0").at(0), false);
  ASSERT_TRUE(listener);
  const SocketAddress open = resolved(local_text(listener->get())).at(0);
  SocketAddress closed;
  {
    const auto gone = listen_on(resolved("127.0.0.1:0").at(0), false);
    closed = local_address(gone->get()).value();
  }
  const auto connected = connect_within({closed, open}, std::chrono::seconds(5));
  ASSERT_TRUE(connected) << connected.error().message();
  EXPECT_EQ(peer_text(connected->get()), open.text());

  const auto refused = connect_within({closed}, std::chrono::seconds(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sys_errno, ECONNREFUSED);
  EXPECT_NE(refused.error().detail.find(closed.text()), std::string::npos);
}

}  // namespace
}  // namespace tools
