// Splicing and sendfile into kTLS, in pieces for which the key's budget has room.

#include "userspace/bridge/kernel_sender.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "userspace/bridge/kernel_keys.h"
#include "userspace/bridge/splicing.h"

namespace bridge {
namespace {

using ktls::Error;
using ktls::Result;
using tls::ContentType;

constexpr std::size_t kPageSize = 4096;
// net/tls closes a record that has MAX_SKB_FRAGS pieces of memory, 17, two of which it may share
// with its neighbours (include/linux/skmsg.h, sk_msg_full).
constexpr std::size_t kPiecesPerRecord = 16;
// What pipe2() gives: as many buffers as fit one record.
constexpr std::size_t kSmallPipeSlots = 16;
// Bytes of one sendfile(): bounded, so that other connections and control records have their turn.
constexpr std::size_t kFilePieceMax = std::size_t{1} << 20;

constexpr std::uint64_t ceiling(std::uint64_t size, std::uint64_t unit) {
  return size / unit + (size % unit != 0 ? 1 : 0);
}

struct SmallPipe {
  ktls::UniqueFd read_end;
  ktls::UniqueFd write_end;

  [[nodiscard]] static Result<SmallPipe> create() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
      return ktls::fail(Error::system(errno, "pipe2"));
    }
    SmallPipe pipe{ktls::UniqueFd(ends[0]), ktls::UniqueFd(ends[1])};
    const int size = ::fcntl(ends[1], F_GETPIPE_SZ);
    if (size > static_cast<int>(kSmallPipeSlots * kPageSize)) {
      return ktls::fail(Error::of(ktls::ErrorCode::kLimitReached, "a pipe larger than asked for"));
    }
    return pipe;
  }
};

}  // namespace

KernelSender::KernelSender(Loop& loop, int fd, ktls::Syscalls& syscalls,
                           const KernelSendState& state, KeyChain keys, const KeyBudget& budget)
    : Sender(loop, fd, std::move(keys), budget), socket_(fd, syscalls), state_(state) {
  make_nonblocking(fd);
}

// --- budget --------------------------------------------------------------------------------------

// Bytes that go into a record that stands open are counted as though they began one: the open
// record itself was counted when it was opened.
std::uint64_t KernelSender::records_of(std::size_t size) const {
  return ceiling(std::max<std::size_t>(size, 1), state_.record_size);
}

// A record ends where it is full, where its pieces of memory are too many, and where the call ends.
std::uint64_t KernelSender::records_of_splice(std::size_t size, std::size_t slots) const {
  if (size <= state_.record_size && slots <= kSmallPipeSlots) return 1;
  return size / state_.record_size + slots / kPiecesPerRecord + 1;
}

Result<void> KernelSender::count_records() {
  KTLS_TRY(const std::uint64_t sequence,
           socket_.sequence(ktls::Direction::kTransmit, state_.cipher));
  budget().learn(sequence, has_open_record_);
  return {};
}

Result<bool> KernelSender::is_near_limit(std::size_t capacity) {
  const std::uint64_t records = records_of_splice(capacity, capacity / kPageSize);
  if (budget().left() >= records) return false;
  if (auto counted = count_records(); !counted) return ktls::fail(std::move(counted).error());
  return budget().left() < records;
}

Result<void> KernelSender::change_state(tls::ConnectionState state) {
  return install_next(socket_, ktls::Direction::kTransmit, std::move(state));
}

// --- zero copy -----------------------------------------------------------------------------------

Result<void> KernelSender::prepare_for(Content content) {
  if (content == option_ || (content == Content::kFixed && !state_.zerocopy)) return {};
  const bool on = content == Content::kFixed;
  auto set = socket_.set_zerocopy_transmit(on);
  if (set) {
    option_ = content;
    return {};
  }
  if (!on) return set;
  state_.zerocopy = false;  // the pages are copied then: no harm, and no reason to ask again
  return {};
}

// --- splicing ------------------------------------------------------------------------------------

Task<Result<void>> KernelSender::empty_pipe(Scope& scope, int pipe_end, std::size_t size,
                                            std::size_t slots) {
  while (size != 0) {
    const std::uint64_t records = records_of_splice(size, slots);
    if (auto room = co_await make_room(scope, records); !room) co_return room;
    if (auto ready = prepare_for(Content::kMayChange); !ready) co_return ready;
    budget().spend(records);
    ssize_t moved = splice_now(pipe_end, fd(), size);
    if (moved == -EAGAIN) {
      auto waited = co_await loop().splice(scope, pipe_end, fd(), size);
      if (!waited) co_return ktls::fail(std::move(waited).error());
      moved = static_cast<ssize_t>(*waited);
    }
    if (moved <= 0) {
      co_return ktls::fail(Error::system(moved < 0 ? static_cast<int>(-moved) : EPIPE, "splice"));
    }
    size -= static_cast<std::size_t>(moved);
    // Without SPLICE_F_MORE the last piece closes its record; one before it may not.
    has_open_record_ = size != 0;
    open_size_ = 0;
  }
  co_return Result<void>();
}

Task<Result<SendStep>> KernelSender::move_from(Scope& scope, int plain_fd) {
  make_nonblocking(plain_fd);
  for (;;) {
    auto begun = co_await loop().turn(scope);
    if (!begun) co_return ktls::fail(std::move(begun).error());
    if (std::exchange(was_empty_, true)) {
      auto ready = co_await loop().readable(scope, plain_fd);
      if (!ready) co_return ktls::fail(std::move(ready).error());
    }
    auto pipe = loop().pipes().lease();
    if (!pipe) {
      has_copied_ = true;
      co_return co_await copy_from(scope, plain_fd);
    }
    auto is_near = is_near_limit(pipe->capacity());
    if (!is_near) co_return ktls::fail(std::move(is_near).error());
    if (*is_near) {
      pipe->reset();
      co_return co_await move_one_record(scope, plain_fd);
    }
    const ssize_t moved = splice_now(plain_fd, pipe->write_end(), pipe->capacity());
    if (moved == -EAGAIN) continue;
    if (moved < 0) {
      co_return ktls::fail(Error::system(static_cast<int>(-moved), "splice from the plain side"));
    }
    if (moved == 0) co_return SendStep(EndOfStream{});
    const auto size = static_cast<std::size_t>(moved);
    take_note_of(size);
    auto turn = co_await begin(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    auto out = co_await empty_pipe(scope, pipe->read_end(), size, pipe->capacity() / kPageSize);
    if (!out) co_return ktls::fail(std::move(out).error());
    was_empty_ = false;
    co_return SendStep(Moved{size});
  }
}

Task<Result<SendStep>> KernelSender::move_one_record(Scope& scope, int plain_fd) {
  auto pipe = SmallPipe::create();
  if (!pipe) {
    has_copied_ = true;
    co_return co_await copy_from(scope, plain_fd);
  }
  for (;;) {
    const ssize_t moved = splice_now(plain_fd, pipe->write_end.get(), state_.record_size);
    if (moved == -EAGAIN) {
      auto ready = co_await loop().readable(scope, plain_fd);
      if (!ready) co_return ktls::fail(std::move(ready).error());
      continue;
    }
    if (moved < 0) {
      co_return ktls::fail(Error::system(static_cast<int>(-moved), "splice from the plain side"));
    }
    if (moved == 0) co_return SendStep(EndOfStream{});
    const auto size = static_cast<std::size_t>(moved);
    take_note_of(size);
    auto turn = co_await begin(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    auto out = co_await empty_pipe(scope, pipe->read_end.get(), size, kSmallPipeSlots);
    if (!out) co_return ktls::fail(std::move(out).error());
    was_empty_ = false;
    co_return SendStep(Moved{size});
  }
}

Task<Result<SendStep>> KernelSender::copy_from(Scope& scope, int plain_fd) {
  auto plain = co_await loop().receive_pooled(scope, plain_fd);
  if (!plain) co_return ktls::fail(std::move(plain).error());
  if (plain->empty()) co_return SendStep(EndOfStream{});
  take_note_of(plain->size());
  auto sent = co_await send_data(scope, plain->bytes());
  if (!sent) co_return ktls::fail(std::move(sent).error());
  co_return SendStep(Moved{plain->size()});
}

// --- files ---------------------------------------------------------------------------------------

Task<Result<std::size_t>> KernelSender::send_piece(Scope& scope, const FileRange& range) {
  if (auto room = co_await make_room(scope, 1); !room) co_return ktls::fail(room.error());
  if (auto ready = prepare_for(range.content); !ready) co_return ktls::fail(ready.error());
  // Whole pages fill a record before they are too many pieces, so its size is what counts.
  const std::uint64_t room = budget().left();
  // What stands in the open record is counted in, so that no piece ends with the rest of a record.
  const std::uint64_t size_max =
      (room < kFilePieceMax / state_.record_size ? room * state_.record_size : kFilePieceMax) -
      std::exchange(open_size_, 0);
  const auto size = static_cast<std::size_t>(std::min(range.size, size_max));
  auto offset = static_cast<off_t>(range.offset);
  for (;;) {
    const ssize_t sent = ::sendfile(fd(), range.fd, &offset, size);
    if (sent >= 0) {
      budget().spend(records_of(size));
      // What is cut off by a full socket may leave its record open.
      has_open_record_ = static_cast<std::size_t>(sent) != size;
      co_return static_cast<std::size_t>(sent);
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return ktls::fail(Error::system(errno, "sendfile"));
    auto writable = co_await loop().writable(scope, fd());
    if (!writable) co_return ktls::fail(std::move(writable).error());
  }
}

Task<Result<std::uint64_t>> KernelSender::send_file(Scope& scope, FileRange range) {
  std::uint64_t total = 0;
  while (range.size != 0) {
    auto begun = co_await loop().turn(scope);
    if (!begun) co_return ktls::fail(std::move(begun).error());
    auto turn = co_await begin(scope);
    if (!turn) co_return ktls::fail(std::move(turn).error());
    auto sent = co_await send_piece(scope, range);
    if (!sent) co_return ktls::fail(std::move(sent).error());
    if (*sent == 0) break;
    total += *sent;
    range.offset += *sent;
    range.size -= *sent;
  }
  co_return total;
}

// --- bytes ---------------------------------------------------------------------------------------

Task<Result<void>> KernelSender::send_all(Scope& scope, ContentType type,
                                          std::span<const std::uint8_t> content, ktls::More more) {
  const bool is_data = type == ContentType::kApplicationData;
  while (!content.empty()) {
    std::size_t size = content.size();
    if (is_data) {
      if (auto room = co_await make_room(scope, 1); !room) co_return room;
      if (auto ready = prepare_for(Content::kMayChange); !ready) co_return ready;
      const std::uint64_t room = budget().left();
      if (room < records_of(size)) size = static_cast<std::size_t>(room) * state_.record_size;
    }
    const bool is_last = size == content.size();
    const bool keeps_open = is_data && (more == ktls::More::kYes || !is_last);
    auto taken = socket_.send(static_cast<std::uint8_t>(type), content.first(size),
                              keeps_open ? ktls::More::kYes : ktls::More::kNo);
    if (taken) {
      if (is_data) budget().spend(records_of(size));
      has_open_record_ = is_data && (keeps_open || *taken != size);
      open_size_ = has_open_record_ ? (open_size_ + *taken) % state_.record_size : 0;
      content = content.subspan(*taken);
      continue;
    }
    if (taken.error().sys_errno != EAGAIN) co_return ktls::fail(std::move(taken).error());
    auto room = co_await loop().writable(scope, fd());
    if (!room) co_return ktls::fail(std::move(room).error());
  }
  co_return Result<void>();
}

}  // namespace bridge
