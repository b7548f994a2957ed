#include "tools/http/encoding_choice.h"

#include <optional>
#include <string_view>

#include <gtest/gtest.h>

namespace http {
namespace {

constexpr Variants kAll{true, true, true};

Coding choice(std::string_view accept_encoding, const Variants& variants = kAll) {
  return choose_coding(accept_encoding, variants);
}

TEST(EncodingChoice, IsIdentityForAClientThatSaysNothing) {
  EXPECT_EQ(choose_coding(std::nullopt, kAll), Coding::kIdentity);
  EXPECT_EQ(choice(""), Coding::kIdentity);
  EXPECT_EQ(choice(" , "), Coding::kIdentity);
}

TEST(EncodingChoice, IsTheFirstOfOursWhereTheClientDoesNotMind) {
  EXPECT_EQ(choice("gzip, deflate, br, zstd"), Coding::kZstd);
  EXPECT_EQ(choice("gzip, deflate, br"), Coding::kBrotli);
  EXPECT_EQ(choice("gzip, deflate, br, zstd", {false, true, true}), Coding::kBrotli);
  EXPECT_EQ(choice("gzip, deflate, br, zstd", {false, false, true}), Coding::kGzip);
  EXPECT_EQ(choice("gzip, deflate, br, zstd", {}), Coding::kIdentity);
  EXPECT_EQ(choice("*"), Coding::kZstd);
}

TEST(EncodingChoice, FollowsTheWeights) {
  EXPECT_EQ(choice("zstd;q=0.1, br;q=0.2, gzip;q=0.3"), Coding::kGzip);
  EXPECT_EQ(choice("identity;q=1, gzip;q=0.5"), Coding::kIdentity);
  EXPECT_EQ(choice("identity;q=0.5, gzip;q=0.5"), Coding::kGzip);
  EXPECT_EQ(choice("gzip;q=0.001"), Coding::kGzip);
  EXPECT_EQ(choice("br;q=0.9, *;q=0.5"), Coding::kBrotli);
}

TEST(EncodingChoice, NeverServesWhatIsForbidden) {
  EXPECT_EQ(choice("gzip;q=0"), Coding::kIdentity);
  EXPECT_EQ(choice("zstd;q=0, *"), Coding::kBrotli);
  EXPECT_EQ(choice("*;q=0"), Coding::kIdentity);
  EXPECT_EQ(choice("identity;q=0, gzip;q=0.1"), Coding::kGzip);
  EXPECT_EQ(choice("*;q=0, gzip"), Coding::kGzip);
  EXPECT_EQ(choice("deflate, compress"), Coding::kIdentity);
}

TEST(EncodingChoice, IsIdentityWhereNothingAcceptableExists) {
  EXPECT_EQ(choice("identity;q=0, gzip", {}), Coding::kIdentity);
  EXPECT_EQ(choice("identity;q=0"), Coding::kIdentity);
}

TEST(EncodingChoice, KnowsNamesInEitherCaseAndTheOldOneOfGzip) {
  EXPECT_EQ(choice("GZip"), Coding::kGzip);
  EXPECT_EQ(choice("x-gzip"), Coding::kGzip);
}

TEST(EncodingChoice, PassesOverWhatItCannotRead) {
  EXPECT_EQ(choice("zstd;q=2, br;level=1, gzip;q=0.1"), Coding::kGzip);
  EXPECT_EQ(choice("br zstd"), Coding::kIdentity);
}

TEST(EncodingChoice, NamesTheCodingsAsContentEncodingDoes) {
  EXPECT_EQ(coding_name(Coding::kZstd), "zstd");
  EXPECT_EQ(coding_name(Coding::kBrotli), "br");
  EXPECT_EQ(coding_name(Coding::kGzip), "gzip");
  EXPECT_EQ(coding_name(Coding::kIdentity), "");
}

}  // namespace
}  // namespace http
