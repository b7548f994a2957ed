// Users and groups by name and number, and becoming one of them.

#include "tools/hardening/identity.h"

#include <array>
#include <string>

#include <grp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/tools/hardening/in_child.h"

namespace tools {
namespace {

constexpr uid_t kSomeUser = 61'234;  // of no entry
constexpr gid_t kSomeGroup = 61'235;

TEST(Identity, FindsAUserAndItsGroupByName) {
  const auto found = find_identity("root", "");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->user, 0U);
  EXPECT_EQ(found->group, 0U);
}

TEST(Identity, TakesNumbersThatNobodyHas) {
  const auto found = find_identity(std::to_string(kSomeUser), std::to_string(kSomeGroup));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->user, kSomeUser);
  EXPECT_EQ(found->group, kSomeGroup);
}

TEST(Identity, WantsAGroupForANumberThatHasNone) {
  const auto found = find_identity(std::to_string(kSomeUser), "");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("give --group"), std::string::npos);
}

TEST(Identity, NamesWhatIsNotThere) {
  EXPECT_EQ(find_identity("no-such-user", "").error().message(),
            "--user: there is no user 'no-such-user'");
  EXPECT_EQ(find_identity("root", "no-such-group").error().message(),
            "--group: there is no group 'no-such-group'");
  EXPECT_FALSE(find_identity("4294967295", "root"));  // setresuid(2) takes it for "as it is"
}

TEST(Identity, BecomesItForGoodAndWithoutOtherGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root becomes somebody else";
  EXPECT_EQ(in_child([] {
              const std::array<gid_t, 2> groups = {0, kSomeGroup};
              if (::setgroups(groups.size(), groups.data()) != 0) return false;
              if (!become({.user = kSomeUser, .group = kSomeGroup})) return false;
              uid_t users[3];
              gid_t own[3];
              ::getresuid(&users[0], &users[1], &users[2]);
              ::getresgid(&own[0], &own[1], &own[2]);
              for (const uid_t each : users) {
                if (each != kSomeUser) return false;
              }
              for (const gid_t each : own) {
                if (each != kSomeGroup) return false;
              }
              return ::getgroups(0, nullptr) == 0 && ::setuid(0) != 0 && ::setgid(0) != 0;
            }),
            0);
}

TEST(Identity, RefusesWhoIsNotAllowedToChange) {
  EXPECT_EQ(in_child([] {
              const Identity somebody{.user = kSomeUser, .group = kSomeGroup};
              if (::geteuid() == 0 && !become(somebody)) return false;
              return !become({.user = 0, .group = 0});
            }),
            0);
}

}  // namespace
}  // namespace tools
