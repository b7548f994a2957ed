// An application at the bridge's own end: it receives, answers and closes without a plain side.
#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tests/unit/userspace/bridge/bridge_fixture.h"
#include "userspace/bridge/closing.h"
#include "userspace/handshake/record_header.h"

namespace bridge::test {
namespace {

using ktls::Error;
using ktls::ErrorCode;

class Endpoint : public BridgeTest {
 protected:
  using Body = std::function<Task<void>(Connection&, Scope&)>;

  BridgeSide serve(const Body& body, const Story& story) {
    BridgeSide made = side();
    made.instead_of_relay = [&body](Connection& connection, Scope& scope, int) -> Task<void> {
      return body(connection, scope);
    };
    run(made, story);
    EXPECT_FALSE(made.error) << made.error->message();
    return made;
  }
};
INSTANTIATE_TEST_SUITE_P(Bridge, Endpoint, testing::ValuesIn(all_cells()), cell_name);

std::string text_of(const Buffer& data) {
  const auto bytes = data.bytes();
  return {bytes.begin(), bytes.end()};
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Task<void> close(Loop& loop, Connection& connection, Scope& scope) {
  auto closed = co_await send_close_notify(loop, scope, connection);
  EXPECT_TRUE(closed);
  co_await close_gently(loop, scope, connection.fd());
}

// Answers everything with itself, until the peer has ended, and ends then.
Task<void> echo(Loop& loop, Connection& connection, Scope& scope) {
  for (;;) {
    auto data = co_await connection.receive(scope);
    if (!data) {
      ADD_FAILURE() << data.error().message();
      co_return;
    }
    if (data->empty()) break;
    auto sent = co_await connection.sender().send_data(scope, data->bytes());
    EXPECT_TRUE(sent);
  }
  co_await close(loop, connection, scope);
}

TEST_P(Endpoint, AnswersPiecesOfEverySizeAndEndsWithThePeer) {
  serve([this](Connection& connection,
               Scope& scope) -> Task<void> { co_await echo(loop(), connection, scope); },
        [](Stage& stage) -> Task<void> {
          for (const std::size_t size : {1, 100, 16'384, 16'385, 100'000}) {
            const std::string text = pattern_text(size, size);
            const bool asked = co_await stage.tls.write(text);
            EXPECT_TRUE(asked);
            const std::string answer = co_await stage.tls.read(size);
            EXPECT_TRUE(answer == text) << size;
          }
          const bool closed = co_await stage.tls.close_notify();
          EXPECT_TRUE(closed);
          static_cast<void>(co_await stage.tls.read_to_end());
          EXPECT_TRUE(stage.tls.saw_close_notify());
          EXPECT_TRUE(stage.tls.saw_fin());
        });
}

TEST_P(Endpoint, KeepsWhatCameBeforeAKeyUpdateOfThePeer) {
  const bool follows = cell().is_tls13() && (!cell().receives_in_kernel() || capability().rekey);
  if (!follows) GTEST_SKIP() << "no KeyUpdate that this cell could follow";
  std::vector<Buffer> received;
  serve(
      [&](Connection& connection, Scope& scope) -> Task<void> {
        for (;;) {
          auto data = co_await connection.receive(scope);
          EXPECT_TRUE(data) << data.error().message();
          if (!data || data->empty()) break;
          received.push_back(*std::move(data));
        }
        std::string all;
        for (const Buffer& each : received) all += text_of(each);
        EXPECT_EQ(all, "before the update, and after it");
        EXPECT_EQ(connection.key_updates_received(), 1U);
        received.clear();
        co_await close(loop(), connection, scope);
      },
      [](Stage& stage) -> Task<void> {
        SSL_write(stage.tls.ssl(), "before the update", 17);
        EXPECT_EQ(SSL_key_update(stage.tls.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        SSL_write(stage.tls.ssl(), ", and after it", 14);
        const bool sent = co_await stage.tls.flush();
        EXPECT_TRUE(sent);
        const bool closed = co_await stage.tls.close_notify();
        EXPECT_TRUE(closed);
        static_cast<void>(co_await stage.tls.read_to_end());
      });
}

TEST_P(Endpoint, TakesABareFinForAnError) {
  serve(
      [](Connection& connection, Scope& scope) -> Task<void> {
        auto data = co_await connection.receive(scope);
        EXPECT_TRUE(data && text_of(*data) == "text");
        auto end = co_await connection.receive(scope);
        EXPECT_TRUE(!end && end.error().code == ErrorCode::kEndOfStream);
      },
      [](Stage& stage) -> Task<void> {
        const bool sent = co_await stage.tls.write("text");
        EXPECT_TRUE(sent);
        stage.tls.shut_write();
        static_cast<void>(co_await stage.tls.read_to_end());
      });
}

TEST_P(Endpoint, TellsThePeerOfARecordThatDoesNotOpen) {
  serve(
      [this](Connection& connection, Scope& scope) -> Task<void> {
        auto data = co_await connection.receive(scope);
        EXPECT_FALSE(data);
        auto again = co_await connection.receive(scope);
        EXPECT_FALSE(again) << "the first error is final";
        if (!data) co_await abort_peer(loop(), connection, data.error(), false);
      },
      [](Stage& stage) -> Task<void> {
        const bool sent = co_await stage.tls.write_damaged("text");
        EXPECT_TRUE(sent);
        static_cast<void>(co_await stage.tls.read_to_end());
        EXPECT_EQ(stage.tls.alert(), SSL_AD_BAD_RECORD_MAC);
      });
}

// Body sizes of the records in `wire`.
std::vector<std::size_t> record_sizes(std::span<const std::uint8_t> wire) {
  std::vector<std::size_t> sizes;
  while (wire.size() >= tls::kRecordHeaderSize) {
    const auto size = static_cast<std::size_t>(wire[3] << 8 | wire[4]);
    sizes.push_back(size);
    wire = wire.subspan(std::min(wire.size(), tls::kRecordHeaderSize + size));
  }
  return sizes;
}

constexpr std::size_t kHead = 300;
// Several pieces of sendfile, the last of which does not end on a page.
constexpr std::size_t kFile = (std::size_t{5} << 19U) + 777;
constexpr std::size_t kRecords =
    (kHead + kFile + tls::kPlaintextSizeMax - 1) / tls::kPlaintextSizeMax;
constexpr std::size_t kOverheadMax = 32;

// Before Linux 6.5 sendfile ends a record every sixteen pages, wherever the sender has its pieces
// end: KernelContractSplice.EndsARecordAfterSixteenPagesOfAFileUnlessItSplicesPages.
bool hands_pages_over_one_by_one() {
  utsname system{};
  int major = 0;
  int minor = 0;
  if (::uname(&system) != 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2)
    return false;
  return major < 6 || (major == 6 && minor < 5);
}

TEST_P(Endpoint, FillsRecordsWithAFileBehindWhatStandsOpen) {
  if (!cell().sends_in_kernel()) GTEST_SKIP() << "only the kernel leaves records open";
  if (hands_pages_over_one_by_one()) {
    GTEST_SKIP() << "this kernel ends a record every sixteen pages of a file";
  }
  const std::string content = pattern_text(kFile, 1);
  const ktls::UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(::pwrite(file.get(), content.data(), kFile, 0), static_cast<ssize_t>(kFile));
  std::size_t records_before = 0;
  serve(
      [&](Connection& connection, Scope& scope) -> Task<void> {
        auto asked = co_await connection.receive(scope);
        EXPECT_TRUE(asked);
        const std::string head(kHead, 'h');
        auto begun =
            co_await connection.sender().send_data(scope, bytes_of(head), ktls::More::kYes);
        EXPECT_TRUE(begun);
        FileRange range{.fd = file.get(), .offset = 0, .size = kFile};
        auto sent = co_await connection.sender().send_file(scope, range);
        EXPECT_TRUE(sent && *sent == kFile);
        co_await echo(loop(), connection, scope);
      },
      [&](Stage& stage) -> Task<void> {
        records_before = record_sizes(stage.tls.wire()).size();
        const bool asked = co_await stage.tls.write("file, please");
        EXPECT_TRUE(asked);
        const std::string got = co_await stage.tls.read(kHead + kFile);
        EXPECT_TRUE(got == std::string(kHead, 'h') + content);
        std::vector<std::size_t> sizes = record_sizes(stage.tls.wire());
        sizes.erase(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(records_before));
        EXPECT_GE(sizes.size(), kRecords);
        // The head's size is what a piece that began in its record would leave over at its end.
        EXPECT_TRUE(std::none_of(sizes.begin(), sizes.end(), [](std::size_t size) {
          return size >= kHead && size <= kHead + kOverheadMax;
        })) << "a piece of the file ended its record too soon";
        const bool closed = co_await stage.tls.close_notify();
        EXPECT_TRUE(closed);
        static_cast<void>(co_await stage.tls.read_to_end());
      });
}

}  // namespace
}  // namespace bridge::test
