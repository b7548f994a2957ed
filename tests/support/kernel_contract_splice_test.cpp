// KernelContract: splice, sendfile, and records out of many pieces.
#include "tests/support/kernel_contract_splice.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <poll.h>

namespace ktls {
namespace {

constexpr Cipher kCipher = KernelContractSplice::kCipher;
constexpr std::size_t kPlenty = KernelContractSplice::kPlenty;
// MAX_MSG_FRAGS of include/linux/skmsg.h: pages of one record.
constexpr std::size_t kFragmentsMax = 17;
// fs/splice.c, splice_to_socket: buffers of one call into the socket.
constexpr std::size_t kSpliceBatch = 16;

// ---- out of the socket ------------------------------------------------------------------------

TEST_P(KernelContractSplice, SplicesDataOfOneRecordACallIntoAPipe) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  EXPECT_EQ(splice(pair.receiver, ends.write), -EAGAIN);
  send_all(pair.sender, kTypeApplicationData, bytes_of("one "));
  send_all(pair.sender, kTypeApplicationData, bytes_of("three"));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  EXPECT_EQ(splice(pair.receiver, ends.write), 4);
  EXPECT_EQ(splice(pair.receiver, ends.write, 2), 2);
  EXPECT_EQ(kernel().unread(pair.receiver), 0U);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT);
  EXPECT_EQ(splice(pair.receiver, ends.write), 3);
  EXPECT_EQ(splice(pair.receiver, ends.write), -EAGAIN);
  EXPECT_EQ(contents(ends.read), bytes_of("one three"));
  const Bytes long_data = pattern(20000);
  send_all(pair.sender, kTypeApplicationData, long_data);
  EXPECT_EQ(splice(pair.receiver, ends.write), 16384);
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  EXPECT_EQ(splice(pair.receiver, ends.write), 20000 - 16384);
  EXPECT_TRUE(contents(ends.read) == long_data);
}

TEST_P(KernelContractSplice, RefusesToSpliceAControlRecordWhichStaysForReceiving) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  send_all(pair.sender, kTypeApplicationData, bytes_of("before"));
  send_all(pair.sender, kTypeAlert, {1, 0});
  send_all(pair.sender, kTypeApplicationData, bytes_of(" after"));
  expect_readiness(pair.receiver, POLLIN | POLLOUT);
  EXPECT_EQ(splice(pair.receiver, ends.write), 6);
  EXPECT_EQ(splice(pair.receiver, ends.write), -EINVAL);
  EXPECT_EQ(splice(pair.receiver, ends.write), -EINVAL);
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLIN | POLLOUT);
  expect_record(pair.receiver, kTypeAlert, {1, 0});
  EXPECT_EQ(splice(pair.receiver, ends.write), 6);
  EXPECT_EQ(contents(ends.read), bytes_of("before after"));
}

TEST_P(KernelContractSplice, SplicesWhatAPeekHasDecrypted) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  send_all(pair.sender, kTypeApplicationData, bytes_of("seen"));
  EXPECT_EQ(receive_with(pair.receiver, 64, MSG_PEEK).bytes, bytes_of("seen"));
  EXPECT_EQ(splice(pair.receiver, ends.write, 1), 1);
  EXPECT_EQ(splice(pair.receiver, ends.write), 3);
  EXPECT_EQ(contents(ends.read), bytes_of("seen"));
}

TEST_P(KernelContractSplice, AnswersEkeyexpiredToASpliceWhileItWaitsForAKey) {
  const Bytes key_update{24, 0, 0, 1, 0};
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  send_all(pair.sender, kTypeHandshake, key_update);
  expect_record(pair.receiver, kTypeHandshake, key_update);
  send_all(pair.sender, kTypeApplicationData, bytes_of("data"));
  if (!kernel().rekeys()) {
    expect_readiness(pair.receiver, POLLIN | POLLOUT);
    EXPECT_EQ(splice(pair.receiver, ends.write), 4) << "the old key goes on";
    return;
  }
  EXPECT_EQ(kernel().readiness(pair.receiver), POLLOUT);
  EXPECT_EQ(splice(pair.receiver, ends.write), -EKEYEXPIRED);
}

TEST_P(KernelContractSplice, SplicesTheResetAndTheEndAsReceivingTellsThem) {
  const Pair reset = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  reset_now(reset.sender, reset.receiver);
  EXPECT_EQ(splice(reset.receiver, ends.write), -ECONNRESET);
  EXPECT_EQ(splice(reset.receiver, ends.write), 0);
  const Pair closed = installed_pair(kCipher, Version::kTls13);
  close_now(closed.sender);
  expect_readiness(closed.receiver, POLLIN | POLLOUT | POLLRDHUP);
  EXPECT_EQ(splice(closed.receiver, ends.write), 0);
}

// ---- into the socket --------------------------------------------------------------------------

TEST_P(KernelContractSplice, MakesOneRecordOfWhatOneSpliceTakesOutOfAPipe) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  EXPECT_EQ(splice(ends.read, pair.sender), -EAGAIN);
  write_pieces(ends.write, 3, "abc");
  EXPECT_EQ(splice(ends.read, pair.sender, 7), 7);
  EXPECT_EQ(sent_records(pair.sender), 1U);
  EXPECT_EQ(splice(ends.read, pair.sender), 2);
  EXPECT_EQ(sent_records(pair.sender), 2U);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("abcabcabc"));
  close_now(ends.write);
  EXPECT_EQ(splice(ends.read, pair.sender), 0);
}

TEST_P(KernelContractSplice, LeavesTheRecordOpenForMoreOnlyWhereItSplicesPages) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  write_pieces(ends.write, 1, "head, ");
  EXPECT_EQ(splice(ends.read, pair.sender, kPlenty, SPLICE_F_MORE), 6);
  EXPECT_EQ(sent_records(pair.sender), kernel().splices_pages() ? 0U : 1U);
  write_pieces(ends.write, 1, "body");
  EXPECT_EQ(splice(ends.read, pair.sender), 4);
  EXPECT_EQ(sent_records(pair.sender), kernel().splices_pages() ? 1U : 2U);
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("head, body"));
}

TEST_P(KernelContractSplice, EndsWhatASpliceLeftOpenWithTheNextSendOrControlRecord) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  write_pieces(ends.write, 1, "head, ");
  EXPECT_EQ(splice(ends.read, pair.sender, kPlenty, SPLICE_F_MORE), 6);
  send_all(pair.sender, kTypeApplicationData, bytes_of("body"));
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("head, body"));
  write_pieces(ends.write, 1, "last");
  EXPECT_EQ(splice(ends.read, pair.sender, kPlenty, SPLICE_F_MORE), 4);
  send_all(pair.sender, kTypeAlert, {1, 0});
  expect_record(pair.receiver, kTypeApplicationData, bytes_of("last"));
  expect_record(pair.receiver, kTypeAlert, {1, 0});
}

TEST_P(KernelContractSplice, EndsAnOpenRecordWithWhatIsSplicedBehindIt) {
  const Pair pair = sending_pair();
  const Ends ends = pipe();
  send_open(pair.sender, bytes_of("open"));
  write_pieces(ends.write, 1, "hello");
  EXPECT_EQ(splice(ends.read, pair.sender), 5);
  expect_lengths(pair.receiver, {9});
}

TEST_P(KernelContractSplice, EndsARecordOfPipeBuffersAtSeventeen) {
  for (const std::size_t count : {kFragmentsMax, kFragmentsMax + 1, std::size_t{40}}) {
    const Pair pair = sending_pair();
    const Ends ends = pipe();
    write_pieces(ends.write, count, "0123456789");
    EXPECT_EQ(splice(ends.read, pair.sender), static_cast<ssize_t>(count * 10));
    std::vector<std::size_t> lengths;
    for (std::size_t rest = count; rest != 0; rest -= std::min(rest, kFragmentsMax)) {
      lengths.push_back(std::min(rest, kFragmentsMax) * 10);
    }
    expect_lengths(pair.receiver, lengths);
  }
}

TEST_P(KernelContractSplice, EndsARecordOfSplicesForMoreAtSeventeenBuffers) {
  const Pair pair = sending_pair();
  const Ends ends = pipe();
  for (int i = 0; i < 20; ++i) {
    write_pieces(ends.write, 1, "0123456789");
    EXPECT_EQ(splice(ends.read, pair.sender, 10, SPLICE_F_MORE), 10);
  }
  EXPECT_EQ(sent_records(pair.sender), kernel().splices_pages() ? 1U : 20U);
  send_all(pair.sender, kTypeApplicationData, bytes_of("."));
  EXPECT_EQ(sent_records(pair.sender), kernel().splices_pages() ? 2U : 21U);
}

// Whoever asks for more than the pipe holds waits for ever for the last record of sixteen buffers.
TEST_P(KernelContractSplice, ForgetsToEndTheRecordAfterSixteenBuffersWhenAskedForMore) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Ends ends = pipe();
  write_pieces(ends.write, kSpliceBatch, "0123456789");
  EXPECT_EQ(splice(ends.read, pair.sender, 161), 160);
  EXPECT_EQ(sent_records(pair.sender), kernel().splices_pages() ? 0U : 1U);
  write_pieces(ends.write, kSpliceBatch, "0123456789");
  EXPECT_EQ(splice(ends.read, pair.sender, 160), 160) << "asked for what is there";
  EXPECT_EQ(sent_records(pair.sender), 2U);
}

TEST_P(KernelContractSplice, SplicesIntoRecordsOf16Kilobytes) {
  const Pair pair = sending_pair();
  const Ends ends = pipe();
  const Bytes page = pattern(4096);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(kernel().write(ends.write, page), static_cast<ssize_t>(page.size()));
  }
  EXPECT_EQ(splice(ends.read, pair.sender, 40000), 40000);
  expect_lengths(pair.receiver, {16384, 16384, 40000 - 2 * 16384});
}

TEST_P(KernelContractSplice, SendsAFileInRecordsOf16KilobytesAndEndsTheLast) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Bytes content = pattern(40000);
  const int file = own(kernel().file_of(content));
  EXPECT_EQ(sendfile(pair.sender, file, 0, content.size()), 40000);
  EXPECT_EQ(sent_records(pair.sender), 3U);
  expect_record(pair.receiver, kTypeApplicationData, content);
  EXPECT_EQ(sendfile(pair.sender, file, 39990, 100), 10) << "up to its end";
  EXPECT_EQ(sent_records(pair.sender), 4U);
  expect_record(pair.receiver, kTypeApplicationData, Bytes(content.end() - 10, content.end()));
  EXPECT_EQ(sendfile(pair.sender, file, 40000, 100), 0);
  EXPECT_EQ(sent_records(pair.sender), 4U);
}

TEST_P(KernelContractSplice, SendsAFileBehindAnOpenRecordInTheSameRecord) {
  const Pair pair = sending_pair();
  const int file = own(kernel().file_of(bytes_of("the file")));
  send_open(pair.sender, bytes_of("header, "));
  EXPECT_EQ(sendfile(pair.sender, file, 0, 8), 8);
  expect_lengths(pair.receiver, {16});
}

// sendfile moves sixteen pages at a time (fs/splice.c, splice_direct_to_actor). Whoever takes them
// page by page is not told that more follow behind the last (pipe_to_sendpage), so a file whose
// pages do not end with a record costs one record more for each call.
TEST_P(KernelContractSplice, EndsARecordAfterSixteenPagesOfAFileUnlessItSplicesPages) {
  const Pair pair = sending_pair();
  const Bytes content = pattern(3 * kSpliceBatch * 4096 + 100);
  const int file = own(kernel().file_of(content));
  const Bytes head = pattern(300);
  send_open(pair.sender, head);
  EXPECT_EQ(sendfile(pair.sender, file, 0, content.size()), static_cast<ssize_t>(content.size()));
  std::vector<std::size_t> lengths(12, 16384);
  if (kernel().splices_pages()) {
    lengths.push_back(400);
  } else {
    lengths.insert(lengths.begin() + 4, head.size());
    lengths.push_back(100);
  }
  expect_lengths(pair.receiver, lengths);
}

TEST_P(KernelContractSplice, SendsAFileInPlaintextWithoutKeys) {
  const Pair pair = attached_pair();
  const int file = own(kernel().file_of(bytes_of("bare")));
  EXPECT_EQ(sendfile(pair.sender, file, 0, 4), 4);
  EXPECT_EQ(read_raw(pair.receiver, 4), bytes_of("bare"));
}

TEST_P(KernelContractSplice, TakesNothingWhileTheSendBufferIsFull) {
  const Pair pair = installed_pair(kCipher, Version::kTls13);
  const Bytes chunk = pattern(16384);
  int attempts = 0;
  while (socket(pair.sender).send(kTypeApplicationData, chunk).has_value()) {
    ASSERT_LT(++attempts, 10000);
  }
  const std::uint64_t records = sent_records(pair.sender);
  const auto refused = socket(pair.sender).send(kTypeAlert, Bytes{1, 0});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().sys_errno, EAGAIN);
  EXPECT_EQ(kernel().readiness(pair.sender) & POLLOUT, 0);
  const Ends ends = pipe();
  write_pieces(ends.write, 1, "kept");
  EXPECT_EQ(splice(ends.read, pair.sender), -EAGAIN);
  EXPECT_EQ(contents(ends.read), bytes_of("kept"));
  const int file = own(kernel().file_of(bytes_of("file")));
  EXPECT_EQ(sendfile(pair.sender, file, 0, 4), -EAGAIN);
  EXPECT_EQ(sent_records(pair.sender), records);
}

// ---- many small pieces ------------------------------------------------------------------------

TEST_P(KernelContractSplice, MakesOneRecordOfManyBuffersOfOneSend) {
  const Pair pair = sending_pair();
  // Each in a page of its own, more than a record has fragments.
  constexpr std::size_t kStride = 4096;
  Bytes memory = pattern(40 * kStride);
  std::vector<iovec> parts;
  for (std::size_t i = 0; i < 40; ++i) parts.push_back({memory.data() + i * kStride, 100});
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  for (const int flags : {0, int{MSG_MORE}, 0}) {
    EXPECT_EQ(syscalls().sendmsg(pair.sender, &message, flags | MSG_DONTWAIT), 4000);
  }
  expect_lengths(pair.receiver, {4000, 8000});
}

TEST_P(KernelContractSplice, MakesOneRecordOfManySmallSendsForMore) {
  const Pair pair = sending_pair();
  for (int i = 0; i < 40; ++i) send_open(pair.sender, pattern(100));
  send_all(pair.sender, kTypeApplicationData, bytes_of("."));
  expect_lengths(pair.receiver, {4001});
}

}  // namespace
}  // namespace ktls
