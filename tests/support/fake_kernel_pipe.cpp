// FakeKernel's pipes and files, and what splice and sendfile make of them: fs/splice.c,
// tls_sw_splice_read and the MSG_SPLICE_PAGES of net/tls/tls_sw.c.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>

#include "tests/support/fake_kernel.h"
#include "tests/support/fake_kernel_message.h"

namespace ktls {
namespace {

constexpr std::size_t kPageSize = 4096;
// splice_to_socket: it hands over so many buffers at a time, and asks whether there are more before
// it has let go of the last of them.
constexpr std::size_t kSpliceBatch = 16;

}  // namespace

int FakeKernel::pipe(int fds[2]) {
  const auto pipe = std::make_shared<Pipe>();
  for (const bool writes : {false, true}) {
    fds[writes ? 1 : 0] = next_fd_;
    pipe_ends_[next_fd_++] = {pipe, writes};
  }
  return 0;
}

ssize_t FakeKernel::write(int pipe_fd, std::span<const std::uint8_t> bytes) {
  const auto end = pipe_ends_.find(pipe_fd);
  if (end == pipe_ends_.end() || !end->second.writes) return fake_failure(EBADF);
  end->second.pipe->buffers.emplace_back(bytes.begin(), bytes.end());
  return static_cast<ssize_t>(bytes.size());
}

// One buffer: the rest of what does not fit is lost, as O_DIRECT has it.
ssize_t FakeKernel::read(int pipe_fd, std::span<std::uint8_t> buffer) {
  const auto end = pipe_ends_.find(pipe_fd);
  if (end == pipe_ends_.end() || end->second.writes) return fake_failure(EBADF);
  Pipe& pipe = *end->second.pipe;
  if (pipe.buffers.empty()) return pipe.writer_is_open ? fake_failure(EAGAIN) : 0;
  const std::size_t size = take_front(pipe.buffers.front(), buffer);
  pipe.buffers.pop_front();
  return static_cast<ssize_t>(size);
}

int FakeKernel::file_of(std::span<const std::uint8_t> bytes) {
  files_[next_fd_] = {bytes.begin(), bytes.end()};
  return next_fd_++;
}

ssize_t FakeKernel::splice(int from, int to, std::size_t size, unsigned flags) {
  const auto source = pipe_ends_.find(from);
  const auto target = pipe_ends_.find(to);
  Socket* socket = find(source == pipe_ends_.end() ? from : to);
  if (socket == nullptr) return fake_failure(EBADF);
  if (source != pipe_ends_.end()) {
    return splice_from_pipe(*socket, *source->second.pipe, size, (flags & SPLICE_F_MORE) != 0);
  }
  if (target == pipe_ends_.end()) return fake_failure(EINVAL);
  return splice_to_pipe(*socket, *target->second.pipe, size);
}

// Data of one record at most, or of what a peek left decrypted. Whatever else comes is kept.
ssize_t FakeKernel::splice_to_pipe(Socket& socket, Pipe& pipe, std::size_t size) const {
  if (!socket.rx) return fake_failure(EOPNOTSUPP);  // plain TCP is not modelled here
  if (socket.opened.empty()) {
    FakeRecord record;
    const int sys_errno = open_next(socket, record);
    if (sys_errno == kFakeEndOfStream) return 0;
    if (sys_errno != 0) return fake_failure(sys_errno);
    socket.opened.push_back(std::move(record));
  }
  FakeRecord& record = socket.opened.front();
  if (record.type != kFakeApplicationData) return fake_failure(EINVAL);
  Bytes piece(std::min(size, record.payload.size()));
  take_front(record.payload, piece);
  if (record.payload.empty()) socket.opened.pop_front();
  pipe.buffers.push_back(piece);
  return static_cast<ssize_t>(piece.size());
}

// Each buffer of the pipe is a fragment of its own. A kernel without MSG_SPLICE_PAGES ends the
// record with each call, and leaves it to TCP to wait for more, which is not modelled here.
ssize_t FakeKernel::splice_from_pipe(Socket& socket, Pipe& pipe, std::size_t size, bool more) {
  if (pipe.buffers.empty()) return pipe.writer_is_open ? fake_failure(EAGAIN) : 0;
  std::size_t taken = 0;
  std::size_t buffers = 0;
  int sys_errno = 0;
  while (taken < size && !pipe.buffers.empty() && sys_errno == 0) {
    Bytes& buffer = pipe.buffers.front();
    const auto piece =
        std::span<const std::uint8_t>(buffer).first(std::min(buffer.size(), size - taken));
    const bool is_last = taken + piece.size() == size || pipe.buffers.size() == 1;
    const bool asks_too_early = ++buffers % kSpliceBatch == 0 && taken + piece.size() < size;
    const bool leaves_open = traits_.splices_pages && (more || asks_too_early);
    std::span<const std::uint8_t> rest = piece;
    if (socket.tx) {
      sys_errno =
          fill(socket, kFakeApplicationData, rest, Fragment::kPage, !is_last || leaves_open);
    } else if (const ssize_t sent = send_raw(socket, piece); sent < 0) {
      sys_errno = errno;
    } else {
      rest = rest.subspan(static_cast<std::size_t>(sent));
    }
    const std::size_t gone = piece.size() - rest.size();
    taken += gone;
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(gone));
    if (buffer.empty()) pipe.buffers.pop_front();
  }
  if (sys_errno != 0 && taken == 0) return fake_failure(sys_errno);
  return static_cast<ssize_t>(taken);
}

// The pages of the file go through a pipe of the kernel's own, and its end ends the record. Without
// MSG_SPLICE_PAGES each filling of that pipe ends one, as splice_direct_to_actor fills it anew.
ssize_t FakeKernel::sendfile(int to, int from, std::size_t offset, std::size_t size) {
  Socket* socket = find(to);
  const auto file = files_.find(from);
  if (socket == nullptr || file == files_.end()) return fake_failure(EBADF);
  const Bytes& bytes = file->second;
  const std::size_t end = std::min(bytes.size(), offset + size);
  const std::size_t pages_max = traits_.splices_pages ? SIZE_MAX : kSpliceBatch;
  std::size_t sent = 0;
  while (offset + sent < end) {
    Pipe pipe;
    std::size_t held = 0;
    while (offset + sent + held < end && pipe.buffers.size() < pages_max) {
      const std::size_t at = offset + sent + held;
      const std::size_t page_end = std::min(end, (at / kPageSize + 1) * kPageSize);
      pipe.buffers.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                bytes.begin() + static_cast<std::ptrdiff_t>(page_end));
      held += page_end - at;
    }
    const ssize_t taken = splice_from_pipe(*socket, pipe, held, false);
    if (taken < 0) return sent != 0 ? static_cast<ssize_t>(sent) : taken;
    sent += static_cast<std::size_t>(taken);
    if (static_cast<std::size_t>(taken) != held) break;
  }
  return static_cast<ssize_t>(sent);
}

}  // namespace ktls
