// Reading files, alike on both loops.

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "tests/unit/userspace/io/loop_fixture.h"

namespace bridge {
namespace {

using FileTest = LoopTest;
BRIDGE_ON_BOTH_LOOPS(FileTest);

// A file without a name that holds `size` bytes of the pattern.
UniqueFd pattern_file(std::size_t size) {
  char path[] = "/tmp/ktls-bridge-file-test-XXXXXX";
  UniqueFd file(::mkostemp(path, O_CLOEXEC));
  EXPECT_TRUE(file.valid());
  ::unlink(path);
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = pattern(i);
  EXPECT_EQ(::pwrite(file.get(), bytes.data(), size, 0), static_cast<ssize_t>(size));
  return file;
}

void expect_pattern(const std::uint8_t* bytes, std::size_t size, std::size_t position) {
  for (std::size_t i = 0; i < size; ++i) {
    ASSERT_EQ(bytes[i], pattern(position + i)) << "byte " << position + i;
  }
}

TEST_P(FileTest, ReadsFromWhereItIsTold) {
  const UniqueFd file = pattern_file(300'000);
  run([&](Scope& scope) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    const auto read = co_await loop().read_file(scope, file.get(), 123'457, buffer, 100, 5'000);
    expect_value(read, std::size_t{5'000});
    expect_pattern(buffer.data() + 100, 5'000, 123'457);
    EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 0) << "the own position of the file has moved";
  });
}

TEST_P(FileTest, ReadsLessAtTheEndAndNothingBehindIt) {
  const UniqueFd file = pattern_file(1'000);
  run([&](Scope& scope) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    const auto last = co_await loop().read_file(scope, file.get(), 900, buffer, 0, kBufferSize);
    expect_value(last, std::size_t{100});
    expect_pattern(buffer.data(), 100, 900);
    const auto end = co_await loop().read_file(scope, file.get(), 1'000, buffer, 0, kBufferSize);
    expect_value(end, std::size_t{0});
    const auto beyond = co_await loop().read_file(scope, file.get(), 5'000'000'000, buffer, 0, 1);
    expect_value(beyond, std::size_t{0});
  });
}

TEST_P(FileTest, ReadsFilesThatWereOpenedNotToBlock) {
  const UniqueFd file = pattern_file(1'000);
  set_non_blocking(file.get());
  run([&](Scope& scope) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    const auto read = co_await loop().read_file(scope, file.get(), 0, buffer, 0, 1'000);
    expect_value(read, std::size_t{1'000});
    expect_pattern(buffer.data(), 1'000, 0);
  });
}

TEST_P(FileTest, SaysWhatCannotBeRead) {
  const UniqueFd directory(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd write_only(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  run([&](Scope& scope) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    const auto of_directory = co_await loop().read_file(scope, directory.get(), 0, buffer, 0, 1);
    expect_errno(of_directory, EISDIR);
    const auto of_write_only = co_await loop().read_file(scope, write_only.get(), 0, buffer, 0, 1);
    expect_errno(of_write_only, EBADF);
    const auto of_none = co_await loop().read_file(scope, -1, 0, buffer, 0, 1);
    expect_errno(of_none, EBADF);
  });
}

TEST_P(FileTest, RefusesPartsOutsideTheBuffer) {
  const UniqueFd file = pattern_file(10);
  run([&](Scope& scope) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    const auto nothing = co_await loop().read_file(scope, file.get(), 0, buffer, 0, 0);
    expect_code(nothing, ErrorCode::kInvalidArgument);
    const auto outside =
        co_await loop().read_file(scope, file.get(), 0, buffer, kBufferBlockSize, 1);
    expect_code(outside, ErrorCode::kInvalidArgument);
  });
}

TEST_P(FileTest, ReadsNothingInAScopeThatHasEnded) {
  const UniqueFd file = pattern_file(10);
  run([&](Scope&) -> Task<void> {
    const Buffer buffer = loop().buffers().lease().value();
    Scope ended(loop());
    ended.cancel();
    const auto read = co_await loop().read_file(ended, file.get(), 0, buffer, 0, 10);
    expect_code(read, ErrorCode::kCancelled);
  });
}

}  // namespace
}  // namespace bridge
