// Ticket keys in files: the two forms that nginx has, and what is no key.
#include "userspace/handshake/openssl/ticket_key.h"

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/certificates.h"

namespace tls::test {
namespace {

using ktls::ErrorCode;

// `count` bytes that count up from `first`.
std::string counting(std::uint8_t first, std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(first + i);
  return bytes;
}

std::string text_of(std::span<const std::uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

class TicketKeyFile : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content,
                    std::filesystem::perms mode = std::filesystem::perms::owner_read |
                                                  std::filesystem::perms::owner_write) {
    const std::string path = directory_.write(name, content);
    std::filesystem::permissions(path, mode);
    return path;
  }

  TemporaryDirectory directory_;
};

// nginx, src/event/ngx_event_openssl.c, ngx_ssl_session_ticket_keys().
TEST_F(TicketKeyFile, Of48BytesHasTheNameThenTheCipherThenTheMac) {
  const auto key = read_ticket_key(write("key", counting(0, 48)));
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(text_of(key->name), counting(0, 16));
  EXPECT_EQ(text_of(key->cipher.bytes()), counting(16, 16));
  EXPECT_EQ(text_of(key->mac.bytes()), counting(32, 16));
}

TEST_F(TicketKeyFile, Of80BytesHasTheNameThenTheMacThenTheCipher) {
  const auto key = read_ticket_key(write("key", counting(0, 80)));
  ASSERT_TRUE(key) << key.error().message();
  EXPECT_EQ(text_of(key->name), counting(0, 16));
  EXPECT_EQ(text_of(key->mac.bytes()), counting(16, 32));
  EXPECT_EQ(text_of(key->cipher.bytes()), counting(48, 32));
}

TEST_F(TicketKeyFile, OfAnotherSizeIsNamedWithWhatToDo) {
  for (const std::size_t size : {0U, 1U, 47U, 49U, 64U, 79U, 81U, 4096U}) {
    SCOPED_TRACE(size);
    const std::string path = write("key", std::string(size, 'k'));
    const auto key = read_ticket_key(path);
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(key.error().message().find(path) != std::string::npos);
    EXPECT_TRUE(key.error().message().find("not " + std::to_string(size) + " ") !=
                std::string::npos);
    EXPECT_TRUE(key.error().message().find("openssl rand") != std::string::npos);
    EXPECT_TRUE(key.error().message().find("kkk") == std::string::npos);
  }
}

TEST_F(TicketKeyFile, ThatIsNotThereIsAnErrorOfTheSystem) {
  const auto key = read_ticket_key(directory_.path() / "none");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kSystem);
  EXPECT_EQ(key.error().sys_errno, ENOENT);
}

TEST_F(TicketKeyFile, IsWarnedOfWhenOthersMayReadIt) {
  using std::filesystem::perms;
  const perms owner = perms::owner_read | perms::owner_write;
  const std::vector<std::string> closed = {
      write("closed", counting(0, 80)), write("group", counting(1, 80), owner | perms::group_read)};
  const auto quiet = read_ticket_keys(closed);
  ASSERT_TRUE(quiet);
  EXPECT_TRUE(quiet->warnings.empty());
  EXPECT_EQ(quiet->keys.size(), 2U);

  const std::vector<std::string> open = {
      write("open", counting(2, 80), owner | perms::others_read)};
  const auto warned = read_ticket_keys(open);
  ASSERT_TRUE(warned);
  ASSERT_EQ(warned->warnings.size(), 1U);
  EXPECT_TRUE(warned->warnings[0].starts_with(open[0] + ":"));
}

TEST_F(TicketKeyFile, IsWarnedOfWhenAnotherHidesIt) {
  const std::vector<std::string> paths = {
      write("one", counting(0, 80)), write("two", counting(1, 80)), write("same", counting(0, 48))};
  const auto read = read_ticket_keys(paths);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->warnings.size(), 1U);
  EXPECT_TRUE(read->warnings[0].starts_with(paths[2] + ":"));
  EXPECT_TRUE(read->warnings[0].find(paths[0]) != std::string::npos);
}

TEST_F(TicketKeyFile, ThatIsBrokenIsAnErrorForAllOfThem) {
  const std::vector<std::string> paths = {write("one", counting(0, 80)), write("two", "short")};
  const auto read = read_ticket_keys(paths);
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().message().find(paths[1]) != std::string::npos);
}

}  // namespace
}  // namespace tls::test
