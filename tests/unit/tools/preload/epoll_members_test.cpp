#include "tools/preload/epoll_members.h"

#include <array>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace preload {
namespace {

TEST(EpollMembers, ALineOfAMemberIsUnderstood) {
  EpollMember member;
  ASSERT_TRUE(parse_member(
      "tfd:       12 events: 40000019 data: fedcba9876543210  pos:0 ino:2a sdev:9", member));
  EXPECT_EQ(member.fd, 12);
  EXPECT_EQ(member.events, 0x4000'0019U);
  EXPECT_EQ(member.data, 0xfedc'ba98'7654'3210U);
  ASSERT_TRUE(parse_member("tfd: 7 events: 0 data: 0", member));
  EXPECT_EQ(member.fd, 7);
}

TEST(EpollMembers, OtherLinesAreNone) {
  EpollMember member;
  for (const char* const line : {"", "pos:\t0", "flags:\t02", "tfd:", "tfd: x events: 1 data: 2",
                                 "tfd: 1 events:", "tfd: 1 events: 2", "tfd: 1 events: 2 data: "}) {
    EXPECT_FALSE(parse_member(line, member)) << line;
  }
}

// More members than one read of the kernel's list brings.
TEST(EpollMembers, WhatHasFiredIsFoundAmongMany) {
  const ktls::UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
  std::array<ktls::UniqueFd, 300> members;
  for (ktls::UniqueFd& each : members) {
    each.reset(::eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(each);
    epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = ~std::uint64_t{7}}};
    ASSERT_EQ(::epoll_ctl(set.get(), EPOLL_CTL_ADD, each.get(), &event), 0);
  }
  const int fd = members[250].get();
  EXPECT_FALSE(has_fired(set.get(), fd, ~std::uint64_t{7}));
  ASSERT_EQ(::eventfd_write(fd, 1), 0);
  epoll_event event{};
  ASSERT_EQ(::epoll_wait(set.get(), &event, 1, 0), 1);
  for (const ktls::UniqueFd& each : members) {
    EXPECT_EQ(has_fired(set.get(), each.get(), ~std::uint64_t{7}), each.get() == fd);
  }
  EXPECT_FALSE(has_fired(set.get(), fd, 7)) << "that is another one's data";
  EXPECT_FALSE(has_fired(fd, fd, 7)) << "that is no set";
  EXPECT_FALSE(has_fired(-1, fd, 7));
}

}  // namespace
}  // namespace preload
