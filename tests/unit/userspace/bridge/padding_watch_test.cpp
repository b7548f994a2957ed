// PaddingWatch: what a peer may send, look by look, and what the watch makes of it.
#include "userspace/bridge/padding_watch.h"

#include <gtest/gtest.h>

namespace bridge {
namespace {

constexpr std::uint64_t kOverhead = 22;
constexpr std::uint64_t kRecords = 64;  // in a look
constexpr std::uint64_t kContent = 1000;

// What comes between two looks.
struct Batch {
  std::uint64_t padding = 0;
  std::uint64_t control_records = 0;
  std::uint64_t records = kRecords;
};

class PaddingWatchTest : public testing::Test {
 protected:
  // Whether padding is expected still after `batch`. `hidden`: content that was not yet delivered,
  // which the watch knows if `is_known`.
  bool expects_none_after(const Batch& batch, std::uint64_t hidden = 0, bool is_known = true) {
    totals_.records += batch.records;
    totals_.control_records += batch.control_records;
    totals_.wire += batch.records * (kContent + kOverhead) + batch.padding;
    totals_.content += batch.records * kContent;
    ReceivedTotals seen = totals_;
    seen.content -= hidden;
    if (is_known) seen.undelivered_max = hidden == 0 ? 0 : 16384;
    watch_.look(seen);
    return watch_.expects_no_padding();
  }
  // Looks without fault until padding is expected no more.
  std::uint64_t looks_until_on() {
    std::uint64_t looks = 1;
    while (!expects_none_after({}) && looks <= 2 * PaddingWatch::kCleanLooksMost) ++looks;
    return looks;
  }

  PaddingWatch watch_;
  ReceivedTotals totals_;
};

TEST_F(PaddingWatchTest, ExpectsNoneOfAPeerThatPadsNothing) {
  EXPECT_TRUE(watch_.expects_no_padding());
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(expects_none_after({}));
  EXPECT_TRUE(expects_none_after({.records = 0}));
}

TEST_F(PaddingWatchTest, ToleratesAFewRecordsThatCostTwice) {
  constexpr std::uint64_t kFew = kRecords / PaddingWatch::kRecordsPerCostly;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(expects_none_after({.control_records = kFew}));
    EXPECT_TRUE(expects_none_after({.padding = kFew}));
    EXPECT_TRUE(expects_none_after({.padding = kFew / 2, .control_records = kFew / 2}));
  }
  EXPECT_FALSE(expects_none_after({.padding = kFew / 2, .control_records = kFew / 2 + 1}));
}

TEST_F(PaddingWatchTest, ExpectsItAfterOneByteInEachRecord) {
  EXPECT_FALSE(expects_none_after({.padding = kRecords}));
}

TEST_F(PaddingWatchTest, ExpectsItOfAPeerThatSendsMostlyControlRecords) {
  EXPECT_FALSE(expects_none_after({.control_records = kRecords}));
  EXPECT_FALSE(expects_none_after({.control_records = 1, .records = 1}));
}

TEST_F(PaddingWatchTest, HesitatesTwiceAsLongAfterEachDisappointment) {
  std::uint64_t looks = PaddingWatch::kCleanLooksFirst;
  for (int i = 0; i < 8; ++i, looks *= 2) {
    EXPECT_FALSE(expects_none_after({.padding = kRecords}));
    EXPECT_EQ(looks_until_on(), looks);
  }
}

TEST_F(PaddingWatchTest, HesitatesNoLongerThanItsLimit) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(expects_none_after({.padding = kRecords}));
    EXPECT_LE(looks_until_on(), PaddingWatch::kCleanLooksMost);
  }
}

TEST_F(PaddingWatchTest, CountsOnlyLooksInARow) {
  EXPECT_FALSE(expects_none_after({.padding = kRecords}));
  for (int i = 0; i < 100; ++i) {
    for (std::uint64_t j = 1; j < PaddingWatch::kCleanLooksFirst; ++j) {
      EXPECT_FALSE(expects_none_after({}));
    }
    EXPECT_FALSE(expects_none_after({.padding = kRecords}));
  }
}

TEST_F(PaddingWatchTest, TakesNoContentForPaddingThatTheKernelMayHold) {
  for (const std::uint64_t hidden : {1, 5000, 16384}) {
    EXPECT_TRUE(expects_none_after({}, hidden));
    EXPECT_TRUE(expects_none_after({}));
  }
}

TEST_F(PaddingWatchTest, FindsPaddingBehindWhatTheKernelMayHoldInTheEnd) {
  int looks = 1;
  while (expects_none_after({.padding = kRecords}, 1) && looks < 1000) ++looks;
  EXPECT_LE(looks, 16384 / static_cast<int>(kRecords) + 2);
}

// A ticket that waits behind what was read looks like padding for one look.
TEST_F(PaddingWatchTest, ForgetsWhatLookedLikePaddingWhenItWasDelivered) {
  EXPECT_FALSE(expects_none_after({}, 250, false));
  EXPECT_EQ(looks_until_on(), PaddingWatch::kCleanLooksFirst);
  EXPECT_FALSE(expects_none_after({.padding = kRecords})) << "less than what was forgotten";
}

}  // namespace
}  // namespace bridge
