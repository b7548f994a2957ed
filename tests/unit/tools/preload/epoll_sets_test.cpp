#include "tools/preload/epoll_sets.h"

#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace preload {
namespace {

// Two ends that are connected; `theirs` makes `ours` readable.
struct Pair {
  Pair() {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    ours.reset(ends[0]);
    theirs.reset(ends[1]);
  }
  void make_readable() const { EXPECT_EQ(::write(theirs.get(), "x", 1), 1); }
  ktls::UniqueFd ours;
  ktls::UniqueFd theirs;
};

constexpr std::uint64_t kData = 0x1234'5678'9abc'def0;

// A socket in a set, as a program puts it there before it connects: its file is `first`, and is
// `second` after take().
class EpollSets : public testing::Test {
 protected:
  void SetUp() override {
    number_ = ::dup(first_.ours.get());
    const Changing changing;
    wrapped_ = make(Kind::kFresh);
    ASSERT_TRUE(enter(number_, *wrapped_));
  }

  void TearDown() override {
    {
      const Changing changing;
      forget_in_sets(number_);
      forget_in_sets(set_.get());
      if (Wrapped* const set = leave(set_.get()); set != nullptr) discard(*set);
      leave(number_);
      discard(*wrapped_);
    }
    ::close(number_);
  }

  int control(int operation, std::uint32_t events, int set = -1) {
    epoll_event event{.events = events, .data = {.u64 = kData}};
    const Changing changing;
    return control_set(set < 0 ? set_.get() : set, operation, number_, &event, *wrapped_);
  }

  void take(const Pair& file, Kind kind) {
    const Changing changing;
    withdraw_from_sets(*wrapped_);
    ASSERT_EQ(::dup2(file.ours.get(), number_), number_);
    change_kind(*wrapped_, kind);
    put_back_into_sets(*wrapped_);
  }

  std::optional<epoll_event> next() {
    epoll_event event{};
    const int found = ::epoll_wait(set_.get(), &event, 1, 0);
    EXPECT_GE(found, 0);
    return found == 1 ? std::optional(event) : std::nullopt;
  }

  void expect(std::uint32_t events) {
    const std::optional<epoll_event> event = next();
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->events, events);
    EXPECT_EQ(std::uint64_t{event->data.u64}, kData);
  }

  Pair first_;
  Pair second_;
  ktls::UniqueFd set_{::epoll_create1(EPOLL_CLOEXEC)};
  int number_ = -1;
  Wrapped* wrapped_ = nullptr;
};

TEST_F(EpollSets, WhatIsPendingTellsOfTheAnswerAloneByAMark) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLET), 0);
  expect(EPOLLOUT);
  take(second_, Kind::kPending);
  EXPECT_FALSE(next().has_value());
  second_.make_readable();
  const std::optional<epoll_event> event = next();
  ASSERT_TRUE(event.has_value());
  EXPECT_TRUE(is_mark(event->data.u64));
  EXPECT_FALSE(is_mark(kData));
  EXPECT_EQ(event->events, std::uint32_t{EPOLLIN});
  const Changing changing;
  EXPECT_EQ(find_by_mark(event->data.u64), wrapped_);
}

TEST_F(EpollSets, WhatTakesTheNumberIsInTheSetAsTheProgramAskedForIt) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLET), 0);
  take(second_, Kind::kPending);
  second_.make_readable();
  const std::optional<epoll_event> answer = next();
  take(first_, Kind::kDirect);
  expect(EPOLLOUT);
  EXPECT_FALSE(next().has_value()) << "edge-triggered";
  first_.make_readable();
  expect(EPOLLIN | EPOLLOUT);
  ASSERT_TRUE(answer.has_value());
  const Changing changing;
  EXPECT_EQ(find_by_mark(answer->data.u64), nullptr) << "a mark that is late";
}

TEST_F(EpollSets, WhatIsAskedForWhileItIsPendingHoldsAfterIt) {
  take(second_, Kind::kPending);
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), 0);
  EXPECT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), -1);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(control(EPOLL_CTL_MOD, EPOLLOUT), 0);
  EXPECT_FALSE(next().has_value()) << "it is writable, but pending";
  take(first_, Kind::kRelayed);
  expect(EPOLLOUT);
}

TEST_F(EpollSets, WhatIsTakenOutWhileItIsPendingStaysOut) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLOUT), 0);
  take(second_, Kind::kPending);
  ASSERT_EQ(control(EPOLL_CTL_DEL, 0), 0);
  EXPECT_EQ(control(EPOLL_CTL_DEL, 0), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(control(EPOLL_CTL_MOD, EPOLLIN), -1);
  EXPECT_EQ(errno, ENOENT);
  take(first_, Kind::kDirect);
  EXPECT_FALSE(next().has_value());
}

TEST_F(EpollSets, AListenerIsNeverWritable) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT), 0);
  take(second_, Kind::kListener);
  EXPECT_FALSE(next().has_value());
  second_.make_readable();
  expect(EPOLLIN);
}

TEST_F(EpollSets, AListenerThatAnotherProcessPutThereIsNeverWritable) {
  take(second_, Kind::kListener);
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kData}};
  ASSERT_EQ(::epoll_ctl(set_.get(), EPOLL_CTL_ADD, number_, &event), 0);
  ASSERT_EQ(control(EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT), 0);
  EXPECT_FALSE(next().has_value());
}

TEST_F(EpollSets, ARegistrationThatHasFiredDoesNotFireAgain) {
  for (const Kind kind : {Kind::kListener, Kind::kPending, Kind::kFailed}) {
    ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLONESHOT), 0);
    expect(EPOLLOUT);
    EXPECT_FALSE(next().has_value());
    take(second_, kind);
    take(first_, Kind::kDirect);
    EXPECT_FALSE(next().has_value());
    ASSERT_EQ(control(EPOLL_CTL_MOD, EPOLLOUT | EPOLLONESHOT), 0);
    take(first_, Kind::kFresh);
    expect(EPOLLOUT);
    ASSERT_EQ(control(EPOLL_CTL_DEL, 0), 0);
  }
}

TEST_F(EpollSets, ARegistrationThatHasNotFiredFiresOnce) {
  take(second_, Kind::kPending);
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLOUT | EPOLLONESHOT), 0);
  take(first_, Kind::kDirect);
  take(second_, Kind::kDirect);
  expect(EPOLLOUT);
  EXPECT_FALSE(next().has_value());
}

TEST_F(EpollSets, WhatTheKernelRefusesIsRefusedWhileItIsPending) {
  take(second_, Kind::kPending);
  EXPECT_EQ(control(EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE), -1);
  EXPECT_EQ(errno, EINVAL);
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLOUT | EPOLLEXCLUSIVE), 0);
  EXPECT_EQ(control(EPOLL_CTL_MOD, EPOLLIN), -1);
  EXPECT_EQ(errno, EINVAL);
  take(first_, Kind::kDirect);
  expect(EPOLLOUT);
}

TEST_F(EpollSets, AFailureThatNobodyWasToldIsAddedToItsEvents) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), 0);
  take(second_, Kind::kFailed);
  const auto events_of = [&](int set, std::uint64_t data) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = data}};
    const Changing changing;
    add_errors_of_failed(set, &event, 1);
    return std::uint32_t{event.events};
  };
  EXPECT_EQ(events_of(set_.get(), kData), std::uint32_t{EPOLLIN});
  wrapped_->error.store(ECONNREFUSED);
  EXPECT_EQ(events_of(set_.get(), kData), std::uint32_t{EPOLLIN | EPOLLERR | EPOLLHUP});
  EXPECT_EQ(events_of(set_.get(), kData + 1), std::uint32_t{EPOLLIN});
  EXPECT_EQ(events_of(number_, kData), std::uint32_t{EPOLLIN});
}

TEST_F(EpollSets, TwoNumbersOfASetAreOneSet) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), 0);
  const ktls::UniqueFd other(::dup(set_.get()));
  {
    const Changing changing;
    copy_set(set_.get(), other.get());
  }
  EXPECT_EQ(control(EPOLL_CTL_MOD, EPOLLOUT, other.get()), 0);
  {
    // The program closes the first of them.
    const Changing changing;
    forget_in_sets(set_.get());
  }
  take(second_, Kind::kPending);
  EXPECT_FALSE(next().has_value());
  take(first_, Kind::kDirect);
  expect(EPOLLOUT);
  const Changing changing;
  forget_in_sets(other.get());
}

TEST_F(EpollSets, AClosedSetIsForgotten) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), 0);
  {
    const Changing changing;
    forget_in_sets(set_.get());
  }
  EXPECT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), -1) << "the kernel has it still";
  EXPECT_EQ(errno, EEXIST);
}

TEST_F(EpollSets, WhatIsNoSetIsLeftToTheKernel) {
  EXPECT_EQ(control(EPOLL_CTL_ADD, EPOLLIN, number_), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(control(EPOLL_CTL_DEL, 0), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(EpollSets, AClosedConnectionThatWasPendingLeavesNoMarkBehind) {
  ASSERT_EQ(control(EPOLL_CTL_ADD, EPOLLIN), 0);
  take(second_, Kind::kPending);
  second_.make_readable();
  {
    // `second_.ours` keeps the file open, as another process would.
    const Changing changing;
    forget_in_sets(number_);
  }
  EXPECT_FALSE(next().has_value());
}

}  // namespace
}  // namespace preload
