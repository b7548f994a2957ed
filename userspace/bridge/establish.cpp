// The handshake's reader and writer.

#include "userspace/bridge/establish.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "userspace/handshake/record_header.h"
#include "userspace/record/record_layer.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tls::Handshake;

// Reads exactly `size` bytes to `offset` of `buffer`, and not one more.
Task<Result<void>> receive_exactly(Loop& loop, Scope& scope, int fd, Buffer buffer,
                                   std::size_t offset, std::size_t size) {
  while (size != 0) {
    auto received = co_await loop.receive(scope, fd, buffer, offset, size);
    if (!received) co_return ktls::fail(std::move(received).error());
    if (*received == 0) {
      co_return ktls::fail(
          Error::of(ErrorCode::kEndOfStream, "the peer closed during the handshake"));
    }
    offset += *received;
    size -= *received;
  }
  co_return Result<void>();
}

// Reads one record into `buffer`, from its start, and answers its size. What does not look like a
// record is answered as its 5 header bytes alone, for libssl to name.
Task<Result<std::size_t>> receive_record(Loop& loop, Scope& scope, int fd, Buffer buffer) {
  auto header = co_await receive_exactly(loop, scope, fd, buffer, 0, tls::kRecordHeaderSize);
  if (!header) co_return ktls::fail(std::move(header).error());
  const auto body_size = tls::record_body_size(
      std::span(buffer.data(), tls::kRecordHeaderSize).first<tls::kRecordHeaderSize>());
  if (!body_size) co_return tls::kRecordHeaderSize;
  auto body = co_await receive_exactly(loop, scope, fd, buffer, tls::kRecordHeaderSize, *body_size);
  if (!body) co_return ktls::fail(std::move(body).error());
  co_return tls::kRecordHeaderSize + *body_size;
}

Task<Result<void>> send_output(Loop& loop, Scope& scope, int fd, Handshake& handshake,
                               Buffer buffer) {
  const std::vector<std::uint8_t> output = handshake.take_output();
  std::span<const std::uint8_t> rest = output;
  while (!rest.empty()) {
    const auto piece = rest.first(std::min(rest.size(), kBufferSize));
    buffer.truncate(0);
    if (auto copied = buffer.append(piece); !copied) co_return copied;
    auto sent = co_await loop.send(scope, fd, buffer, 0, piece.size());
    if (!sent) co_return sent;
    rest = rest.subspan(piece.size());
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<Handshake::Finished>> establish(Loop& loop, Scope& scope, int fd,
                                            Handshake& handshake) {
  auto leased = co_await loop.lease(scope);
  if (!leased) co_return ktls::fail(std::move(leased).error());
  Buffer buffer = *std::move(leased);

  std::size_t record_size = 0;  // the first call starts the handshake
  for (;;) {
    const auto progress = handshake.advance(std::span(buffer.data(), record_size));
    auto sent = co_await send_output(loop, scope, fd, handshake, buffer);
    // Why libssl gave up matters more than that the peer did not wait for the alert.
    if (!progress) co_return ktls::fail(progress.error());
    if (!sent) co_return ktls::fail(std::move(sent).error());
    if (*progress == Handshake::Progress::kDone) co_return handshake.finish();

    auto record = co_await receive_record(loop, scope, fd, buffer);
    if (!record) co_return ktls::fail(std::move(record).error());
    record_size = *record;
  }
}

}  // namespace bridge
