// Result, KTLS_TRY and the text of an Error.
#include "ktls/base/result.h"

#include <cerrno>
#include <memory>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace ktls {
namespace {

Result<std::unique_ptr<int>> boxed(int value) {
  if (value < 0) return fail(Error::system(EBADMSG, "boxed"));
  return std::make_unique<int>(value);
}

Result<std::string> joined(int first, int second) {
  KTLS_TRY(const auto a, boxed(first));
  KTLS_TRY(const auto b, boxed(second));
  return std::to_string(*a) + std::to_string(*b);
}

TEST(Result, TryDeclaresWhatASuccessHolds) {
  EXPECT_EQ(joined(4, 2).value_or("none"), "42");
}

TEST(Result, TryReturnsTheFirstError) {
  for (const auto& result : {joined(-1, 2), joined(1, -2)}) {
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::kSystem);
    EXPECT_EQ(result.error().sys_errno, EBADMSG);
    EXPECT_EQ(result.error().alert, Error::kNoAlert);
  }
}

TEST(Error, NamesTheCallAndWhatTheSystemSaid) {
  EXPECT_EQ(Error::system(ENOENT, "setsockopt(TCP_ULP)").message(),
            "setsockopt(TCP_ULP): No such file or directory");
}

TEST(Error, IsItsDetailAloneWhereNoSystemCallFailed) {
  const Error error = Error::alerting(ErrorCode::kDecodeError, 50, "short header");
  EXPECT_EQ(error.message(), "short header");
  EXPECT_EQ(error.alert, 50);
  EXPECT_EQ(error.sys_errno, 0);
  EXPECT_EQ(Error::of(ErrorCode::kTimeout, "peer").alert, Error::kNoAlert);
}

}  // namespace
}  // namespace ktls
