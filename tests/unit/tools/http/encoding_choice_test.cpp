#include "tools/http/encoding_choice.h"

#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace http {
namespace {

// By their names, up to identity.
std::string order(std::optional<std::string_view> accept_encoding) {
  std::string names;
  for (const Coding coding : codings_in_order(accept_encoding)) {
    if (coding == Coding::kIdentity) break;
    names.append(names.empty() ? "" : " ").append(coding_name(coding));
  }
  return names;
}

TEST(EncodingChoice, IsIdentityForAClientThatSaysNothing) {
  EXPECT_EQ(order(std::nullopt), "");
  EXPECT_EQ(order(""), "");
  EXPECT_EQ(order(" , "), "");
}

TEST(EncodingChoice, IsTheFirstOfOursWhereTheClientDoesNotMind) {
  EXPECT_EQ(order("gzip, deflate, br, zstd"), "zstd br gzip");
  EXPECT_EQ(order("gzip, deflate, br"), "br gzip");
  EXPECT_EQ(order("*"), "zstd br gzip");
}

TEST(EncodingChoice, FollowsTheWeights) {
  EXPECT_EQ(order("zstd;q=0.1, br;q=0.2, gzip;q=0.3"), "gzip br zstd");
  EXPECT_EQ(order("identity;q=1, gzip;q=0.5"), "");
  EXPECT_EQ(order("identity;q=0.5, gzip;q=0.5, br;q=0.4"), "gzip");
  EXPECT_EQ(order("gzip;q=0.001"), "gzip");
  EXPECT_EQ(order("br;q=0.9, *;q=0.5, identity;q=0.1"), "br zstd gzip");
}

TEST(EncodingChoice, NeverServesWhatIsForbidden) {
  EXPECT_EQ(order("gzip;q=0"), "");
  EXPECT_EQ(order("zstd;q=0, *"), "br gzip");
  EXPECT_EQ(order("*;q=0"), "");
  EXPECT_EQ(order("identity;q=0, gzip;q=0.1"), "gzip");
  EXPECT_EQ(order("*;q=0, gzip"), "gzip");
  EXPECT_EQ(order("deflate, compress"), "");
}

TEST(EncodingChoice, IsIdentityWhereNothingAcceptableExists) {
  EXPECT_EQ(order("identity;q=0"), "");
  EXPECT_EQ(codings_in_order("identity;q=0, gzip")[1], Coding::kIdentity);
}

TEST(EncodingChoice, KnowsNamesInEitherCaseAndTheOldOneOfGzip) {
  EXPECT_EQ(order("GZip"), "gzip");
  EXPECT_EQ(order("x-gzip"), "gzip");
}

TEST(EncodingChoice, PassesOverWhatItCannotRead) {
  EXPECT_EQ(order("zstd;q=2, br;level=1, gzip;q=0.1"), "gzip");
  EXPECT_EQ(order("br zstd"), "");
}

TEST(EncodingChoice, NamesTheCodingsAsContentEncodingDoes) {
  EXPECT_EQ(coding_name(Coding::kZstd), "zstd");
  EXPECT_EQ(coding_name(Coding::kBrotli), "br");
  EXPECT_EQ(coding_name(Coding::kGzip), "gzip");
  EXPECT_EQ(coding_name(Coding::kIdentity), "");
}

}  // namespace
}  // namespace http
