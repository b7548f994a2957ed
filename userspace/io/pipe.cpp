// How pipes are made large enough, and which of them are used again.

#include "userspace/io/pipe.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace bridge {

Pipe::Pipe(Pipe&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      read_end_(std::move(other.read_end_)),
      write_end_(std::move(other.write_end_)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Pipe& Pipe::operator=(Pipe&& other) noexcept {
  if (this != &other) {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    read_end_ = std::move(other.read_end_);
    write_end_ = std::move(other.write_end_);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Pipe::reset() {
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(*this);
}

ktls::Result<Pipe> PipePool::lease() {
  Pipe pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else {
    if (leased_ == pipes_max_) {
      return ktls::fail(ktls::Error::of(ktls::ErrorCode::kLimitReached, "all pipes are in use"));
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
      ktls::Error error = ktls::Error::system(errno, "pipe2");
      error.code = ktls::ErrorCode::kLimitReached;
      return ktls::fail(std::move(error));
    }
    pipe.read_end_.reset(ends[0]);
    pipe.write_end_.reset(ends[1]);
    int capacity = ::fcntl(ends[1], F_SETPIPE_SZ, kPipeSizeWanted);
    if (capacity < 0) capacity = ::fcntl(ends[1], F_SETPIPE_SZ, kPipeSizeMin);
    if (capacity < 0) {
      ktls::Error error = ktls::Error::system(errno, "fcntl(F_SETPIPE_SZ)");
      error.code = ktls::ErrorCode::kLimitReached;
      return ktls::fail(std::move(error));
    }
    pipe.capacity_ = static_cast<std::size_t>(capacity);
  }
  pipe.pool_ = this;
  ++leased_;
  return pipe;
}

void PipePool::give_back(Pipe& pipe) {
  --leased_;
  int held = 0;
  const bool empty = ::ioctl(pipe.read_end(), FIONREAD, &held) == 0 && held == 0;
  if (empty && idle_.size() < kIdlePipesMax) {
    idle_.push_back(std::move(pipe));
  } else {
    pipe.read_end_.reset();
    pipe.write_end_.reset();
  }
}

}  // namespace bridge
