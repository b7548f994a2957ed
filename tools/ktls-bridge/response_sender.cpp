// Which bytes are copied and which go by sendfile, and where the pieces end.

#include "tools/ktls-bridge/response_sender.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include <unistd.h>

#include "userspace/record/record_layer.h"
#include "userspace/suite/alert.h"

namespace tools {
namespace {

using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::More;
using ktls::Result;

// Below this a copy costs less than the second system call.
constexpr std::size_t kCopyMax = 16'384;
// What is copied at once: four records.
constexpr std::size_t kHeldMax = 65'536;
constexpr std::uint64_t kPageSize = 4096;
// Below this the call that aligns costs more than it saves.
constexpr std::uint64_t kAlignedLeast = 262'144;
// Below this, asking what fixes a file, and turning the option on and off, costs more than a copy
// that may be saved.
constexpr std::uint64_t kAskedLeast = 262'144;
// Of a file, at once: so that other connections, and the end of the program, have their turn.
constexpr std::uint64_t kChunkSize = std::uint64_t{1} << 20U;

Error changed(const http::OpenFile& file) {
  return Error::alerting(ErrorCode::kEndOfStream,
                         tls::code_of(tls::AlertDescription::kInternalError),
                         file.path + " changed while it was sent");
}

Error unreadable(const http::OpenFile& file, int sys_errno) {
  Error error = Error::system(sys_errno, "reading " + file.path);
  error.alert = tls::code_of(tls::AlertDescription::kInternalError);
  return error;
}

}  // namespace

ResponseSender::ResponseSender(bridge::Loop& loop, Cancellation& cancellation,
                               bridge::Connection& connection, const SendPace& pace,
                               bridge::Content told, bridge::FixedFiles& fixed)
    : loop_(loop),
      cancellation_(cancellation),
      connection_(connection),
      pace_(loop, connection.fd(), pace),
      told_(told),
      fixed_(fixed),
      content_(told) {}

Result<void> ResponseSender::read_now(const http::OpenFile& file, std::uint64_t offset,
                                      std::size_t size) {
  while (size != 0) {
    const ssize_t count =
        ::pread(file.fd.get(), held_.tail().data(), size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ktls::fail(unreadable(file, errno));
    if (count == 0) return ktls::fail(changed(file));
    held_.commit(static_cast<std::size_t>(count));
    size -= static_cast<std::size_t>(count);
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Task<Result<void>> ResponseSender::read(const http::OpenFile& file, std::uint64_t offset,
                                        std::size_t size) {
  // There is little of it, which sendfile, waiting for the disk itself, has had read mostly.
  if (connection_.plan().transmit.in_kernel()) co_return read_now(file, offset, size);
  Phase phase(loop_, cancellation_, pace_.grace());
  pace_.watch(phase.scope());
  while (size != 0) {
    auto count =
        co_await loop_.read_file(phase.scope(), file.fd.get(), offset, held_, held_.size(), size);
    if (!count && count.error().code == ErrorCode::kSystem) {
      co_return ktls::fail(unreadable(file, count.error().sys_errno));
    }
    if (!count) co_return ktls::fail(std::move(count).error());
    if (*count == 0) co_return ktls::fail(changed(file));
    held_.commit(*count);
    size -= *count;
    offset += *count;
  }
  co_return Result<void>();
}

Task<Result<void>> ResponseSender::flush(More more) {
  if (held_.empty()) co_return Result<void>();
  Phase phase(loop_, cancellation_, pace_.grace());
  pace_.watch(phase.scope());
  auto sent = co_await connection_.sender().send_data(phase.scope(), held_.bytes(), more);
  if (!sent) co_return sent;
  sent_ += held_.size();
  held_.reset();
  co_return sent;
}

Task<Result<void>> ResponseSender::make_room(std::size_t size) {
  if (held_.size() + size > kHeldMax) {
    if (auto flushed = co_await flush(More::kYes); !flushed) co_return flushed;
  }
  if (held_.has_block()) co_return Result<void>();
  if (auto leased = loop_.buffers().lease()) {
    held_ = *std::move(leased);
    co_return Result<void>();
  }
  Phase phase(loop_, cancellation_, pace_.grace());
  auto leased = co_await loop_.lease(phase.scope());
  if (!leased) co_return ktls::fail(std::move(leased).error());
  held_ = *std::move(leased);
  co_return Result<void>();
}

Task<Result<void>> ResponseSender::hold(std::string_view text) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, kHeldMax);
    if (auto room = co_await make_room(part.size()); !room) co_return room;
    std::memcpy(held_.tail().data(), part.data(), part.size());
    held_.commit(part.size());
    text.remove_prefix(part.size());
  }
  co_return Result<void>();
}

Task<Result<void>> ResponseSender::send_range(const http::OpenFile& file, std::uint64_t offset,
                                              std::uint64_t size) {
  while (size != 0) {
    // A record begins here, and chunks end where records do.
    const std::uint64_t chunk = std::min(size, kChunkSize);
    Phase phase(loop_, cancellation_, pace_.grace());
    pace_.watch(phase.scope());
    const bridge::FileRange range{
        .fd = file.fd.get(), .offset = offset, .size = chunk, .content = content_};
    auto sent = co_await connection_.sender().send_file(phase.scope(), range);
    if (!sent) co_return ktls::fail(std::move(sent).error());
    sent_ += *sent;
    if (*sent != chunk) co_return ktls::fail(changed(file));
    offset += chunk;
    size -= chunk;
  }
  co_return Result<void>();
}

// The last record, where what is before it is not copied; where all of it is, as much as goes out
// at once anyway. `left` begins with a record.
std::uint64_t ResponseSender::tail_of(std::uint64_t left) const {
  if (left == 0) return 0;
  const std::uint64_t unit =
      connection_.plan().transmit.in_kernel() ? tls::kPlaintextSizeMax : kHeldMax;
  return (left - 1) % unit + 1;
}

// Asked for each file, not for each connection: the option goes on and off with what is sent.
bridge::Content ResponseSender::content_of(const http::OpenFile& file) const {
  if (told_ == bridge::Content::kFixed || !connection_.plan().zerocopy_transmit) return told_;
  return bridge::content_of(fixed_.of(file.fd.get(), loop_.now()));
}

// What is held begins a record. It ends where a page of the file does: the records behind it have
// four whole pages each then, instead of parts of five, which the kernel would encrypt one by one.
std::uint64_t ResponseSender::first_of(std::uint64_t offset) const {
  if (held_.empty() && offset % kPageSize == 0) return 0;
  const std::uint64_t room = tls::kPlaintextSizeMax - held_.size() % tls::kPlaintextSizeMax;
  const std::uint64_t excess = (offset + room) % kPageSize;
  return room > excess ? room - excess : 0;
}

Task<Result<std::uint64_t>> ResponseSender::send_copies(const http::OpenFile& file,
                                                        std::uint64_t offset, std::uint64_t left,
                                                        bool is_last) {
  // There is no record that could be left open: the first ones are filled here.
  const std::uint64_t first = std::min<std::uint64_t>(left, kHeldMax - held_.size());
  if (first != 0) {
    if (auto room = co_await make_room(first); !room) co_return ktls::fail(std::move(room).error());
    auto filled = co_await read(file, offset, static_cast<std::size_t>(first));
    if (!filled) co_return ktls::fail(std::move(filled).error());
    left -= first;
  }
  const std::uint64_t tail = is_last ? tail_of(left) : 0;
  if (left == tail) co_return tail;
  auto flushed = co_await flush(More::kNo);
  if (!flushed) co_return ktls::fail(std::move(flushed).error());
  auto sent = co_await send_range(file, offset + first, left - tail);
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return tail;
}

Task<Result<std::uint64_t>> ResponseSender::send_pages(const http::OpenFile& file,
                                                       std::uint64_t offset, std::uint64_t left,
                                                       bool is_last) {
  const bool is_aligned = left >= kAlignedLeast;
  content_ = left >= kAskedLeast ? content_of(file) : told_;
  const std::uint64_t first = is_aligned ? first_of(offset) : 0;
  left -= first;
  const std::uint64_t open = is_aligned ? 0 : held_.size() % tls::kPlaintextSizeMax;
  const std::uint64_t tail = is_last ? std::min(left, tail_of(open + left)) : 0;
  auto flushed = co_await flush(is_aligned && first == 0 ? More::kNo : More::kYes);
  if (!flushed) co_return ktls::fail(std::move(flushed).error());
  for (const std::uint64_t size : {first, left - tail}) {
    auto sent = co_await send_range(file, offset, size);
    if (!sent) co_return ktls::fail(std::move(sent).error());
    offset += size;
  }
  co_return tail;
}

Task<Result<void>> ResponseSender::send_piece(const http::ResponseBody& body,
                                              const http::FilePiece& piece, bool is_last) {
  if (auto held = co_await hold(piece.before); !held) co_return held;
  std::uint64_t left = piece.size;
  if (left > kCopyMax) {
    auto sending = connection_.plan().transmit.in_kernel()
                       ? send_pages(*body.file, piece.offset, left, is_last)
                       : send_copies(*body.file, piece.offset, left, is_last);
    auto rest = co_await std::move(sending);
    if (!rest) co_return ktls::fail(std::move(rest).error());
    left = *rest;
  }
  if (left == 0) co_return Result<void>();
  if (auto room = co_await make_room(left); !room) co_return room;
  co_return co_await read(*body.file, piece.offset + piece.size - left,
                          static_cast<std::size_t>(left));
}

Task<Result<void>> ResponseSender::send(const http::Response& response) {
  total_ += std::exchange(sent_, 0);
  head_size_ = response.head.size();
  held_.reset();
  if (auto held = co_await hold(response.head); !held) co_return held;
  const http::ResponseBody& body = response.body;
  for (const http::FilePiece& piece : body.pieces) {
    auto sent = co_await send_piece(body, piece, &piece == &body.pieces.back());
    if (!sent) co_return sent;
  }
  if (!body.pieces.empty() && body.file->changed()) co_return ktls::fail(changed(*body.file));
  if (auto held = co_await hold(body.after); !held) co_return held;
  co_return co_await flush(More::kNo);
}

Task<Result<void>> ResponseSender::send(const http::KeptResponse& response) {
  total_ += std::exchange(sent_, 0);
  head_size_ = response.head_size;
  Phase phase(loop_, cancellation_, pace_.grace());
  pace_.watch(phase.scope());
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(response.text.data());
  auto sent = co_await connection_.sender().send_data(phase.scope(),
                                                      std::span(bytes, response.text.size()));
  if (sent) sent_ = response.text.size();
  co_return sent;
}

}  // namespace tools
