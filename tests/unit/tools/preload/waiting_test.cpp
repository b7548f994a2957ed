#include "tools/preload/waiting.h"

#include <array>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tools/preload/connecting.h"
#include "userspace/broker/ktls_bridge_client.h"

// The broker, of which a connection under way hears by one byte, and TLS without any records that
// are no data.
namespace preload {

bool settle(Wrapped& pending) {
  int fd = -1;
  for_each_descriptor_of(pending, [&](int each) { fd = each; });
  char answer = 0;
  if (::recv(fd, &answer, 1, MSG_DONTWAIT) != 1) return false;
  const Changing changing;
  pending.error.store(answer == 'f' ? ECONNREFUSED : 0);
  change_kind(pending, answer == 'f' ? Kind::kFailed : Kind::kRelayed);
  return true;
}

}  // namespace preload

extern "C" int ktlsb_control(int) {
  return 0;
}

namespace preload {
namespace {

constexpr int kShortMs = 20;
constexpr int kLongMs = 10'000;

timespec time_of(int ms) {
  return {ms / 1000, ms % 1000 * 1'000'000L};
}

class Waits : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    const Changing changing;
    wrapped_ = make(Kind::kFresh);
    ASSERT_TRUE(enter(ours_.get(), *wrapped_));
  }

  void TearDown() override {
    const Changing changing;
    leave(ours_.get());
    discard(*wrapped_);
  }

  void become(Kind kind) {
    const Changing changing;
    change_kind(*wrapped_, kind);
  }

  void say(char byte) const { EXPECT_EQ(::write(theirs_.get(), &byte, 1), 1); }

  // What poll tells of it: revents, of which the result has to say that there are any.
  short poll_for(short events, int timeout_ms) {
    pollfd one{ours_.get(), events, -1};
    const timespec timeout = time_of(timeout_ms);
    const int told = poll_all(&one, 1, &timeout, nullptr);
    EXPECT_EQ(told, one.revents != 0 ? 1 : 0);
    return one.revents;
  }

  // The number of bits, and whether each is set.
  std::array<bool, 2> select_for(int timeout_ms) {
    fd_set readable;
    fd_set writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(ours_.get(), &readable);
    FD_SET(ours_.get(), &writable);
    const timespec timeout = time_of(timeout_ms);
    const int bits =
        select_all(ours_.get() + 1, &readable, &writable, nullptr, &timeout, nullptr, nullptr);
    const std::array<bool, 2> is_set{FD_ISSET(ours_.get(), &readable),
                                     FD_ISSET(ours_.get(), &writable)};
    EXPECT_EQ(bits, int{is_set[0]} + int{is_set[1]});
    return is_set;
  }

  ktls::UniqueFd ours_;
  ktls::UniqueFd theirs_;
  Wrapped* wrapped_ = nullptr;
};

TEST_F(Waits, AListenerIsNeverWritable) {
  become(Kind::kListener);
  EXPECT_TRUE(is_any_to_be_translated());
  EXPECT_EQ(poll_for(POLLOUT | POLLWRNORM | POLLWRBAND, kShortMs), 0);
  EXPECT_EQ(select_for(kShortMs), (std::array{false, false}));
  say('x');
  EXPECT_EQ(poll_for(POLLIN | POLLOUT, kLongMs), POLLIN);
  EXPECT_EQ(select_for(kLongMs), (std::array{true, false}));
}

TEST_F(Waits, OnlyWhatIsAskedForDecidesWhetherMuchIsToBeDone) {
  const int fd = ours_.get();
  EXPECT_FALSE(is_to_be_translated(fd, POLLIN | POLLOUT)) << "fresh";
  become(Kind::kListener);
  EXPECT_FALSE(is_to_be_translated(fd, POLLIN));
  EXPECT_TRUE(is_to_be_translated(fd, POLLOUT));
  become(Kind::kDirect);
  EXPECT_TRUE(is_to_be_translated(fd, POLLIN));
  EXPECT_FALSE(is_to_be_translated(fd, POLLOUT));
  become(Kind::kPending);
  EXPECT_TRUE(is_to_be_translated(fd, 0));
  EXPECT_FALSE(is_to_be_translated(theirs_.get(), POLLIN | POLLOUT)) << "none of ours";
}

TEST_F(Waits, AConnectionUnderWayIsWritableWhenItsAnswerIsThere) {
  become(Kind::kPending);
  EXPECT_EQ(poll_for(POLLIN | POLLOUT, kShortMs), 0);
  EXPECT_EQ(select_for(kShortMs), (std::array{false, false}));
  say('t');
  EXPECT_EQ(poll_for(POLLIN | POLLOUT, kLongMs), POLLOUT) << "the answer is no data";
  EXPECT_EQ(select_for(kLongMs), (std::array{false, true}));
}

TEST_F(Waits, AFailureIsToldAsTcpTellsIt) {
  become(Kind::kPending);
  say('f');
  theirs_.reset();
  EXPECT_EQ(poll_for(POLLOUT, kLongMs), POLLOUT | POLLERR | POLLHUP);
  EXPECT_EQ(poll_for(0, kLongMs), POLLERR | POLLHUP);
  EXPECT_EQ(select_for(kLongMs), (std::array{true, true}));
}

TEST_F(Waits, ADirectConnectionIsReadableForData) {
  become(Kind::kDirect);
  EXPECT_EQ(poll_for(POLLIN, kShortMs), 0);
  say('x');
  EXPECT_EQ(poll_for(POLLIN | POLLOUT, kLongMs), POLLIN | POLLOUT);
  theirs_.reset();
  EXPECT_NE(poll_for(POLLIN, kLongMs) & POLLIN, 0);
}

TEST_F(Waits, MoreThanAFewAreWaitedForAtOnce) {
  become(Kind::kListener);
  std::array<pollfd, 100> all{};
  all.fill({ours_.get(), POLLIN | POLLOUT, 0});
  all[7].fd = -1;
  const timespec at_once{};
  EXPECT_EQ(poll_all(all.data(), all.size(), &at_once, nullptr), 0);
  say('x');
  EXPECT_EQ(poll_all(all.data(), all.size(), nullptr, nullptr), 99);
  EXPECT_EQ(all[99].revents, POLLIN);
}

TEST_F(Waits, WhatIsNoTimeIsRefused) {
  become(Kind::kListener);
  pollfd one{ours_.get(), POLLOUT, 0};
  for (const timespec timeout : {timespec{-1, 0}, timespec{0, -1}, timespec{0, 1'000'000'000}}) {
    EXPECT_EQ(poll_all(&one, 1, &timeout, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
    fd_set set;
    FD_ZERO(&set);
    EXPECT_EQ(select_all(1, &set, nullptr, nullptr, &timeout, nullptr, nullptr), -1);
    EXPECT_EQ(errno, EINVAL);
  }
}

TEST_F(Waits, SelectTellsHowMuchTimeIsLeft) {
  become(Kind::kListener);
  say('x');
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ours_.get(), &set);
  const timespec timeout = time_of(kLongMs);
  timespec left{};
  EXPECT_EQ(select_all(ours_.get() + 1, &set, nullptr, nullptr, &timeout, nullptr, &left), 1);
  EXPECT_LE(left.tv_sec, kLongMs / 1000);
  EXPECT_GT(left.tv_sec, 0);
}

TEST(WaitTime, NegativeMillisecondsAreNoLimit) {
  EXPECT_FALSE(TimeLeft::in_ms(-1).is_limited());
  EXPECT_EQ(TimeLeft::in_ms(-1).left_ms(), -1);
  EXPECT_EQ(TimeLeft::in_ms(0).left_ms(), 0);
  EXPECT_TRUE(TimeLeft::in_ms(kLongMs).is_limited());
  EXPECT_GT(TimeLeft::in_ms(kLongMs).left_ms(), 0);
  EXPECT_LE(TimeLeft::in_ms(kLongMs).left_ms(), kLongMs);
}

TEST(WaitTime, WhatIsLongerThanAnythingDoesNotOverflow) {
  const timespec timeout{std::numeric_limits<time_t>::max(), 999'999'999};
  const TimeLeft time(&timeout);
  EXPECT_TRUE(time.is_valid());
  EXPECT_GT(time.left_ns(), 0);
  EXPECT_EQ(time.left_ms(), std::numeric_limits<int>::max());
}

TEST(SelectedNumbers, NoMoreThanTheTableHas) {
  EXPECT_EQ(selected_within_table(FD_SETSIZE), FD_SETSIZE);
  EXPECT_EQ(selected_within_table(1 << 20), 1 << 20) << "there is nothing of ours";
  const ktls::UniqueFd own(::dup(0));
  Wrapped* wrapped = nullptr;
  {
    const Changing changing;
    wrapped = make(Kind::kInternal);
    ASSERT_TRUE(enter(own.get(), *wrapped));
  }
  EXPECT_EQ(selected_within_table(1 << 20), FD_SETSIZE);
  const ktls::UniqueFd high(::fcntl(0, F_DUPFD_CLOEXEC, FD_SETSIZE));
  if (high) {
    EXPECT_EQ(selected_within_table(1 << 20), 2 * FD_SETSIZE);
    EXPECT_EQ(selected_within_table(FD_SETSIZE + 1), FD_SETSIZE + 1);
  }
  const Changing changing;
  leave(own.get());
  discard(*wrapped);
}

}  // namespace
}  // namespace preload
