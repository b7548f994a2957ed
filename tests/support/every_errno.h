// for_every_errno(): one story for each errno that Linux has, and what came of each in the report.
#pragma once

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

namespace ktls::test {

// asm-generic/errno.h
inline constexpr int kErrnoMin = EPERM;
inline constexpr int kErrnoMax = EHWPOISON;

// `story(sys_errno)` answers what came of it, in words. They stand in GoogleTest's report of the
// test as property errno_N, for tests/proofs/guards.py to list.
template <class Story>
void for_every_errno(const Story& story) {
  const testing::TestResult& result =
      *testing::UnitTest::GetInstance()->current_test_info()->result();
  for (int sys_errno = kErrnoMin; sys_errno <= kErrnoMax; ++sys_errno) {
    SCOPED_TRACE(sys_errno);
    const int parts = result.total_part_count();
    const std::string outcome = story(sys_errno);
    testing::Test::RecordProperty("errno_" + std::to_string(sys_errno),
                                  result.total_part_count() == parts ? outcome : "FAILED");
  }
}

}  // namespace ktls::test
