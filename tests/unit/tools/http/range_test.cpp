#include "tools/http/range.h"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace http {
namespace {

using Kind = RangeAnswer::Kind;
using Ranges = std::vector<ByteRange>;

Ranges ranges_of(std::string_view field, std::uint64_t size) {
  const RangeAnswer answer = parse_range(field, size);
  EXPECT_EQ(answer.kind, Kind::kPartial) << field;
  return answer.ranges;
}

Kind kind_of(std::string_view field, std::uint64_t size) {
  const RangeAnswer answer = parse_range(field, size);
  EXPECT_EQ(answer.ranges.empty(), answer.kind != Kind::kPartial) << field;
  return answer.kind;
}

// The examples of RFC 9110 section 14.1.2, of a file of 10000 bytes.
TEST(Range, ReadsTheStandardsExamples) {
  EXPECT_EQ(ranges_of("bytes=0-499", 10000), (Ranges{{0, 499}}));
  EXPECT_EQ(ranges_of("bytes=500-999", 10000), (Ranges{{500, 999}}));
  EXPECT_EQ(ranges_of("bytes=-500", 10000), (Ranges{{9500, 9999}}));
  EXPECT_EQ(ranges_of("bytes=9500-", 10000), (Ranges{{9500, 9999}}));
  EXPECT_EQ(ranges_of("bytes=0-0,-1", 10000), (Ranges{{0, 0}, {9999, 9999}}));
  EXPECT_EQ(ranges_of("bytes= 0-0, 4500-5499, -1000", 10000),
            (Ranges{{0, 0}, {4500, 5499}, {9000, 9999}}));
  EXPECT_EQ(ranges_of("bytes=500-600,601-999", 10000), (Ranges{{500, 600}, {601, 999}}));
  EXPECT_EQ(ranges_of("bytes=500-700,601-999", 10000), (Ranges{{500, 700}, {601, 999}}));
}

TEST(Range, EndsWithTheFile) {
  EXPECT_EQ(ranges_of("bytes=5-100", 10), (Ranges{{5, 9}}));
  EXPECT_EQ(ranges_of("bytes=-100", 10), (Ranges{{0, 9}}));
  EXPECT_EQ(ranges_of("bytes=9-", 10), (Ranges{{9, 9}}));
  EXPECT_EQ(ranges_of("bytes=0-", 1), (Ranges{{0, 0}}));
}

TEST(Range, IsUnsatisfiableWhereNoneBeginsWithinTheFile) {
  EXPECT_EQ(kind_of("bytes=10-", 10), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=10-20,30-40", 10), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=-0", 10), Kind::kUnsatisfiable);
}

TEST(Range, LeavesOutWhatIsUnsatisfiable) {
  EXPECT_EQ(ranges_of("bytes=10-20,0-1,-0", 10), (Ranges{{0, 1}}));
}

TEST(Range, KeepsTheClientsOrder) {
  EXPECT_EQ(ranges_of("bytes=8-9,0-1,4-5", 10), (Ranges{{8, 9}, {0, 1}, {4, 5}}));
}

TEST(Range, OfAnEmptyFileIsNoneOrAllOfNothing) {
  EXPECT_EQ(kind_of("bytes=0-", 0), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=0-0", 0), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=-0", 0), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=-5", 0), Kind::kWhole);
  EXPECT_EQ(kind_of("bytes=0-0,-5", 0), Kind::kWhole);
}

TEST(Range, TakesNumbersBeyond64Bits) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(ranges_of("bytes=1-18446744073709551616", 10), (Ranges{{1, 9}}));
  EXPECT_EQ(ranges_of("bytes=-99999999999999999999999", 10), (Ranges{{0, 9}}));
  EXPECT_EQ(kind_of("bytes=18446744073709551616-", 10), Kind::kUnsatisfiable);
  EXPECT_EQ(kind_of("bytes=18446744073709551616-99999999999999999999", 10), Kind::kUnsatisfiable);
  EXPECT_EQ(ranges_of("bytes=18446744073709551614-", kMax), (Ranges{{kMax - 1, kMax - 1}}));
  EXPECT_EQ(ranges_of("bytes=0-18446744073709551615", kMax), (Ranges{{0, kMax - 1}}));
}

TEST(Range, IsPassedOverWhenMalformed) {
  for (const std::string_view field : {"",
                                       "bytes",
                                       "bytes=",
                                       "bytes=,",
                                       "bytes=1",
                                       "bytes=-",
                                       "bytes=a-b",
                                       "bytes=1-0",
                                       "bytes=0-1,x",
                                       "bytes=0-1,5-4",
                                       "bytes=--1",
                                       "bytes=0-1-2",
                                       "bytes=+0-1",
                                       "bytes=0 -1",
                                       "bytes=0- 1",
                                       "bytes:0-1",
                                       " bytes=0-1",
                                       "bytes =0-1",
                                       "bytes=0x0-1",
                                       "bytes=0-1, bytes=2-3",
                                       "bytes=\"0-1\"",
                                       "=0-1"}) {
    EXPECT_EQ(kind_of(field, 10), Kind::kWhole) << field;
  }
}

TEST(Range, IsPassedOverInOtherUnits) {
  EXPECT_EQ(kind_of("seconds=0-1", 10), Kind::kWhole);
  EXPECT_EQ(kind_of("bytesx=0-1", 10), Kind::kWhole);
  EXPECT_EQ(ranges_of("BYTES=0-1", 10), (Ranges{{0, 1}}));
}

TEST(Range, PassesOverEmptyMembers) {
  EXPECT_EQ(ranges_of("bytes=,0-1 ,\t, 4-5,", 10), (Ranges{{0, 1}, {4, 5}}));
}

TEST(Range, IsTheWholeFileForMoreThanSixteen) {
  std::string field = "bytes=0-0";
  for (int i = 1; i < 16; ++i) field += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
  EXPECT_EQ(ranges_of(field, 100).size(), kRangesMax);
  EXPECT_EQ(kind_of(field + ",50-50", 100), Kind::kWhole);
  // Those that cannot be satisfied count, too: they were read all the same.
  EXPECT_EQ(kind_of(field + ",500-500", 100), Kind::kWhole);
}

TEST(Range, IsTheWholeFileForMoreThanTwoThatOverlap) {
  EXPECT_EQ(ranges_of("bytes=0-5,5-9", 100), (Ranges{{0, 5}, {5, 9}}));
  EXPECT_EQ(kind_of("bytes=0-5,5-9,9-12", 100), Kind::kWhole);
  EXPECT_EQ(kind_of("bytes=0-0,0-0,0-0", 100), Kind::kWhole);
  EXPECT_EQ(kind_of("bytes=0-1,1-2,50-51,51-52", 100), Kind::kWhole);
}

TEST(Range, IsTheWholeFileIfItWouldBeLonger) {
  EXPECT_EQ(ranges_of("bytes=5-9,0-4", 10), (Ranges{{5, 9}, {0, 4}}));
  EXPECT_EQ(kind_of("bytes=0-,0-", 10), Kind::kWhole);
  EXPECT_EQ(kind_of("bytes=0-5,4-9", 10), Kind::kWhole);
  EXPECT_EQ(kind_of("bytes=0-,0-", std::numeric_limits<std::uint64_t>::max()), Kind::kWhole);
}

TEST(ContentRange, NamesPositionsAndSize) {
  EXPECT_EQ(content_range({0, 499}, 1234), "bytes 0-499/1234");
  EXPECT_EQ(unsatisfied_content_range(1234), "bytes */1234");
}

}  // namespace
}  // namespace http
