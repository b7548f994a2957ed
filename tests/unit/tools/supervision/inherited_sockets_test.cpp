// Sockets that a service manager passes, by the variables that tell of them.
#include "tools/supervision/inherited_sockets.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tools {
namespace {

using ktls::UniqueFd;

Address address(const std::string& text) {
  return parse_listen_address(text).value();
}

// Descriptors in a row, as a manager leaves them: not closed by execve(2).
class Passing : public ::testing::Test {
 protected:
  static constexpr int kFirst = 200;

  ~Passing() override {
    for (int number = kFirst; number < next_; ++number) ::close(number);
  }

  // The descriptor's number.
  int pass(const UniqueFd& fd) {
    EXPECT_EQ(::dup2(fd.get(), next_), next_);
    return next_++;
  }
  int pass_listener() {
    return pass(listen_on(resolve(address("127.0.0.1:0"), true)->at(0), false).value());
  }

  [[nodiscard]] InheritedSockets inherited(const std::string& names) const {
    return InheritedSockets::from({.pid = std::to_string(::getpid()),
                                   .count = std::to_string(next_ - kFirst),
                                   .names = names},
                                  kFirst);
  }

  static std::string refusal(InheritedSockets& sockets, const std::string& text,
                             int type = SOCK_STREAM) {
    const auto taken = sockets.take(address(text), type);
    EXPECT_FALSE(taken) << text;
    EXPECT_EQ(taken.error().code, ktls::ErrorCode::kUnsupported);
    return taken.error().detail;
  }

  int next_ = kFirst;
};

TEST(MeantSockets, AreNumbersAlsoWhereTheyAreNamedOrMeantAllTogether) {
  const auto meant = [](const std::string& text) {
    return InheritedSockets::meant_by(address(text), {.pid = {}, .count = "3", .names = "a:b:a"},
                                      3);
  };
  using Numbers = std::vector<std::string>;
  EXPECT_EQ(meant("fd:4"), Numbers({"fd:4"}));
  EXPECT_EQ(meant("systemd"), Numbers({"fd:3", "fd:4", "fd:5"}));
  EXPECT_EQ(meant("systemd:a"), Numbers({"fd:3", "fd:5"}));
  EXPECT_EQ(meant("systemd:c"), Numbers({"systemd:c"}));
  EXPECT_EQ(InheritedSockets::meant_by(address("systemd"), {}, 3), Numbers({"systemd"}));
}

TEST_F(Passing, GivesAllThatWerePassedOrThoseOfOneName) {
  pass_listener();
  pass_listener();
  pass_listener();
  auto all = inherited("http:https:http");
  const auto https = all.take(address("systemd:https"));
  ASSERT_TRUE(https);
  ASSERT_EQ(https->size(), 1U);
  EXPECT_EQ(https->front().get(), kFirst + 1);
  EXPECT_EQ(all.left(), (std::vector<std::string>{"fd:200 (http)", "fd:202 (http)"}));
  const auto http = all.take(address("systemd:http"));
  ASSERT_TRUE(http);
  EXPECT_EQ(http->size(), 2U);
  EXPECT_TRUE(all.left().empty());
}

TEST_F(Passing, MarksWhatItTakesSoThatNoProgramHasItAndNobodyWaitsForIt) {
  const int number = pass_listener();
  auto all = inherited("");
  EXPECT_EQ(::fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  const auto taken = all.take(address("systemd"));
  ASSERT_TRUE(taken);
  EXPECT_NE(::fcntl(number, F_GETFL) & O_NONBLOCK, 0);
}

TEST_F(Passing, ClosesWhatNobodyTook) {
  const int number = pass_listener();
  { const auto all = inherited(""); }
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST_F(Passing, TakesADescriptorByItsNumberWithOrWithoutAManager) {
  const int passed = pass_listener();
  auto with = inherited("https");
  EXPECT_EQ(with.take(address("fd:" + std::to_string(passed)))->front().get(), passed);
  const int inherited_alone = pass_listener();
  auto without = InheritedSockets::from({}, kFirst);
  EXPECT_EQ(without.take(address("fd:" + std::to_string(inherited_alone)))->front().get(),
            inherited_alone);
}

TEST_F(Passing, RefusesADescriptorThatTwoFlagsName) {
  pass_listener();
  auto all = inherited("");
  ASSERT_TRUE(all.take(address("systemd")));
  EXPECT_EQ(refusal(all, "fd:200"), "fd:200: two flags name this descriptor");
  EXPECT_EQ(refusal(all, "systemd"), "systemd: two flags name this descriptor");
}

TEST_F(Passing, RefusesANameThatNothingHasAndTellsThoseThatThereAre) {
  pass_listener();
  pass_listener();
  auto all = inherited("http:https");
  EXPECT_EQ(refusal(all, "systemd:smtp"),
            "systemd:smtp: no socket of this name was passed, but fd:200 (http), fd:201 (https)");
}

TEST_F(Passing, RefusesWhatCannotBeAcceptedFrom) {
  const UniqueFd file(::open("/dev/null", O_RDONLY));
  const UniqueFd bound(bind_to(resolve(address("127.0.0.1:0"), true)->at(0), false).value());
  const UniqueFd datagrams(::socket(AF_INET, SOCK_DGRAM, 0));
  for (const UniqueFd* each : {&file, &bound, &datagrams}) pass(*each);
  auto all = inherited("");
  EXPECT_EQ(refusal(all, "fd:200"), "fd:200: fd:200 is not a socket");
  EXPECT_EQ(refusal(all, "fd:201"),
            "fd:201: fd:201 does not listen (a socket unit with Accept=yes is for wrap --fd)");
  EXPECT_EQ(refusal(all, "fd:202"),
            "fd:202: fd:202 is not a stream socket (ListenStream= in a socket unit)");
}

TEST_F(Passing, RefusesAStreamWhereMessagesAreWanted) {
  pass_listener();
  auto all = inherited("");
  EXPECT_NE(refusal(all, "systemd", SOCK_SEQPACKET).find("ListenSequentialPacket="),
            std::string::npos);
}

TEST_F(Passing, RefusesADescriptorThatWasNotInherited) {
  const UniqueFd ours(listen_on(resolve(address("127.0.0.1:0"), true)->at(0), false).value());
  auto none = InheritedSockets::from({}, kFirst);
  const std::string text = "fd:" + std::to_string(ours.get());
  EXPECT_NE(refusal(none, text).find("was not inherited"), std::string::npos);
  EXPECT_NE(refusal(none, "fd:987654").find("Bad file descriptor"), std::string::npos);
}

TEST_F(Passing, SaysWhyNothingWasPassed) {
  const std::string self = std::to_string(::getpid());
  const auto why = [](const InheritedSockets::Variables& variables) {
    auto none = InheritedSockets::from(variables, kFirst);
    return refusal(none, "systemd");
  };
  EXPECT_NE(why({}).find("LISTEN_FDS is not set"), std::string::npos);
  EXPECT_NE(why({.pid = "1", .count = "1", .names = {}}).find("LISTEN_PID is '1'"),
            std::string::npos);
  EXPECT_NE(why({.pid = {}, .count = "1", .names = {}}).find("LISTEN_PID is ''"),
            std::string::npos);
  for (const char* count : {"0", "-1", "x", "1x", "", "99999", "99999999999999999999"}) {
    EXPECT_NE(why({.pid = self, .count = count, .names = {}})
                  .find("LISTEN_FDS is '" + std::string(count) + "'"),
              std::string::npos);
  }
}

TEST(ListenAddress, IsThatOfASocketWhichIsBoundAlready) {
  EXPECT_EQ(address("fd:3").kind, Address::Kind::kDescriptor);
  EXPECT_EQ(address("fd:3").descriptor, 3);
  EXPECT_EQ(address("systemd").kind, Address::Kind::kPassed);
  EXPECT_EQ(address("systemd:https").path, "https");
  for (const char* text : {"fd:3", "systemd", "systemd:https", "127.0.0.1:80", "unix:/x"}) {
    EXPECT_EQ(address(text).text(), text);
  }
  for (const char* text : {"fd:", "fd:x", "fd:-1", "fd:3x", "fd:99999999999", "systemd:"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
}

TEST(ListenAddress, IsNoAddressToConnectTo) {
  const auto destination = parse_address("systemd:443");  // a machine of that name
  ASSERT_TRUE(destination);
  EXPECT_EQ(destination->kind, Address::Kind::kTcp);
  EXPECT_FALSE(resolve(address("fd:3"), false));
  EXPECT_FALSE(resolve(address("systemd"), true));
}

}  // namespace
}  // namespace tools
