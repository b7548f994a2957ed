#include "tools/http/conditional.h"

#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace http {
namespace {

using Fields = std::vector<std::pair<Field, std::string_view>>;

constexpr std::string_view kBefore = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr std::string_view kExactly = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr std::string_view kAfter = "Sun, 06 Nov 1994 08:49:38 GMT";
constexpr std::string_view kRange = "bytes=0-1";
const Seconds kModified{std::chrono::seconds(784111777)};
const Seconds kNow{std::chrono::seconds(1700000000)};
const Representation kFile{true, EntityTag{false, "a"}, kModified};

Decision decide(Method method, const Fields& fields, const Representation& file = kFile,
                Seconds now = kNow) {
  Request request;
  request.method = method;
  for (const auto& [name, value] : fields) request.add_field(name, value);
  return evaluate(request, file, now);
}

Verdict verdict(const Fields& fields, const Representation& file = kFile) {
  return decide(Method::kGet, fields, file).verdict;
}

TEST(Conditional, ProceedsWithoutPreconditions) {
  EXPECT_EQ(verdict({}), Verdict::kProceed);
}

TEST(Conditional, IfMatchWantsAListedTagByTheStrongComparison) {
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"b\", \"a\""}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfMatch, "*"}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"b\""}}), Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfMatch, "W/\"a\""}}), Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfMatch, "a"}}), Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfMatch, ""}}), Verdict::kPreconditionFailed);
  const Representation weak{true, EntityTag{true, "a"}, kModified};
  EXPECT_EQ(verdict({{Field::kIfMatch, "W/\"a\""}}, weak), Verdict::kPreconditionFailed);
}

TEST(Conditional, IfUnmodifiedSinceFailsForAFileThatIsNewer) {
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, kExactly}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, kAfter}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, kBefore}}), Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, "yesterday"}}), Verdict::kProceed);
  const Representation undated{true, EntityTag{false, "a"}, std::nullopt};
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, kBefore}}, undated), Verdict::kProceed);
}

TEST(Conditional, IfUnmodifiedSinceIsIgnoredBesideIfMatch) {
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"a\""}, {Field::kIfUnmodifiedSince, kBefore}}),
            Verdict::kProceed);
}

TEST(Conditional, IfNoneMatchIsNotModifiedByTheWeakComparison) {
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "\"b\", W/\"a\""}}), Verdict::kNotModified);
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "*"}}), Verdict::kNotModified);
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "\"b\""}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "\"a\", b"}}), Verdict::kProceed);
}

TEST(Conditional, IfNoneMatchFailsForMethodsThatChangeSomething) {
  EXPECT_EQ(decide(Method::kHead, {{Field::kIfNoneMatch, "*"}}).verdict, Verdict::kNotModified);
  EXPECT_EQ(decide(Method::kOther, {{Field::kIfNoneMatch, "*"}}).verdict,
            Verdict::kPreconditionFailed);
}

TEST(Conditional, IfModifiedSinceIsNotModifiedUnlessTheFileIsNewer) {
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, kBefore}}), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, kExactly}}), Verdict::kNotModified);
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, kAfter}}), Verdict::kNotModified);
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, "Sunday, 06-Nov-94 08:49:37 GMT"}}),
            Verdict::kNotModified);
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, "1994"}}), Verdict::kProceed);
  EXPECT_EQ(decide(Method::kOther, {{Field::kIfModifiedSince, kExactly}}).verdict,
            Verdict::kProceed);
  const Representation undated{true, std::nullopt, std::nullopt};
  EXPECT_EQ(verdict({{Field::kIfModifiedSince, kExactly}}, undated), Verdict::kProceed);
}

TEST(Conditional, IfModifiedSinceIsIgnoredBesideIfNoneMatch) {
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "\"b\""}, {Field::kIfModifiedSince, kExactly}}),
            Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "b"}, {Field::kIfModifiedSince, kExactly}}),
            Verdict::kProceed);
}

TEST(Conditional, FailureComesBeforeNotModified) {
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"b\""}, {Field::kIfNoneMatch, "\"a\""}}),
            Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfUnmodifiedSince, kBefore}, {Field::kIfNoneMatch, "\"a\""}}),
            Verdict::kPreconditionFailed);
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"a\""}, {Field::kIfNoneMatch, "\"a\""}}),
            Verdict::kNotModified);
}

TEST(Conditional, NothingIsCheckedOfAFileThatIsNotThere) {
  const Representation absent{false, std::nullopt, std::nullopt};
  EXPECT_EQ(verdict({{Field::kIfMatch, "\"a\""}}, absent), Verdict::kProceed);
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "*"}}, absent), Verdict::kProceed);
  EXPECT_FALSE(decide(Method::kGet, {{Field::kRange, kRange}}, absent).uses_range);
}

TEST(Conditional, RangeCountsForGetAlone) {
  EXPECT_TRUE(decide(Method::kGet, {{Field::kRange, kRange}}).uses_range);
  EXPECT_FALSE(decide(Method::kHead, {{Field::kRange, kRange}}).uses_range);
  EXPECT_FALSE(decide(Method::kOther, {{Field::kRange, kRange}}).uses_range);
  EXPECT_FALSE(decide(Method::kGet, {}).uses_range);
}

TEST(Conditional, IfRangeKeepsTheRangeOnlyOfTheSameRepresentation) {
  const auto uses = [](std::string_view validator, const Representation& file = kFile) {
    const Decision decision =
        decide(Method::kGet, {{Field::kRange, kRange}, {Field::kIfRange, validator}}, file);
    EXPECT_EQ(decision.verdict, Verdict::kProceed);
    return decision.uses_range;
  };
  EXPECT_TRUE(uses("\"a\""));
  EXPECT_FALSE(uses("\"b\""));
  EXPECT_FALSE(uses("W/\"a\""));
  EXPECT_FALSE(uses("\"a\", \"b\""));
  EXPECT_FALSE(uses("*"));
  EXPECT_FALSE(uses(""));
  EXPECT_TRUE(uses(kExactly));
  EXPECT_FALSE(uses(kBefore));
  EXPECT_FALSE(uses(kAfter));
  EXPECT_FALSE(uses("\"a\"", {true, EntityTag{true, "a"}, kModified}));
  EXPECT_FALSE(uses("\"a\"", {true, std::nullopt, kModified}));
  EXPECT_FALSE(uses(kExactly, {true, std::nullopt, std::nullopt}));
}

TEST(Conditional, ADateIsNoStrongValidatorWhileItsSecondLasts) {
  const Fields fields = {{Field::kRange, kRange}, {Field::kIfRange, kExactly}};
  EXPECT_FALSE(decide(Method::kGet, fields, kFile, kModified).uses_range);
  EXPECT_TRUE(decide(Method::kGet, fields, kFile, kModified + std::chrono::seconds(1)).uses_range);
}

TEST(Conditional, IfRangeIsIgnoredWithoutRange) {
  const Decision decision = decide(Method::kGet, {{Field::kIfRange, "\"b\""}});
  EXPECT_EQ(decision.verdict, Verdict::kProceed);
  EXPECT_FALSE(decision.uses_range);
}

TEST(Conditional, APreconditionComesBeforeTheRange) {
  EXPECT_EQ(verdict({{Field::kIfNoneMatch, "\"a\""}, {Field::kRange, kRange}}),
            Verdict::kNotModified);
  EXPECT_TRUE(
      decide(Method::kGet, {{Field::kIfMatch, "\"a\""}, {Field::kRange, kRange}}).uses_range);
}

}  // namespace
}  // namespace http
