// Buffer: a counted reference to a block of a loop's BufferPool, and the part of it in use.
//
// A block is laid out as
//
//   | headroom 19 KiB | 64 KiB | tail 1 KiB |
//
// Received bytes start behind the headroom, so that the beginning of a record that came with an
// earlier receive can be put right before them and the record opened in place as one piece.
//
// Nothing here is thread-safe: a pool and its buffers belong to one loop's thread. Buffers must
// not outlive their pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "ktls/base/result.h"
#include "userspace/io/list.h"

namespace bridge {

// All but the last byte of the largest record there is (RFC 5246 section 6.2.3: 5 + 16384 + 2048
// bytes), rounded up: the part that came with an earlier receive.
inline constexpr std::size_t kBufferHeadroom = std::size_t{19} * 1024;
// What one receive asks for: about four records of the largest size.
inline constexpr std::size_t kBufferSize = std::size_t{64} * 1024;
// Room for the tag and padding of a record that is sealed in place behind the payload.
inline constexpr std::size_t kBufferTail = 1024;
inline constexpr std::size_t kBufferBlockSize = kBufferHeadroom + kBufferSize + kBufferTail;

// Blocks that a pool keeps for reuse, 5 MiB: the burst of a busy loop; the rest is given back.
inline constexpr std::size_t kIdleBuffersMax = 64;
// Blocks that a pool leases at a time unless told otherwise, 84 MiB a loop: a connection holds
// one only while bytes are on their way through it.
inline constexpr std::size_t kBuffersMaxDefault = 1024;

class BufferPool;

struct BufferBlock {
  BufferPool* pool;
  BufferBlock* next_idle;
  std::uint32_t references;
  std::size_t used_begin;  // the part that was ever visible: it is wiped
  std::size_t used_end;
  alignas(64) std::uint8_t bytes[kBufferBlockSize];
};

// A reference and a view [data(), data() + size()). Copying copies both: two Buffers of one
// block see the same bytes but keep their own ends. A default-constructed Buffer has no block
// and size() 0.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer& other) : block_(other.block_), begin_(other.begin_), end_(other.end_) {
    if (block_ != nullptr) ++block_->references;
  }
  Buffer(Buffer&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    return *this;
  }
  ~Buffer() { reset(); }

  void reset();

  [[nodiscard]] bool has_block() const { return block_ != nullptr; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  // Bytes before data() and behind data() + size() that the block still has.
  [[nodiscard]] std::size_t headroom() const { return begin_; }
  [[nodiscard]] std::size_t tailroom() const {
    return block_ == nullptr ? 0 : kBufferBlockSize - end_;
  }

  [[nodiscard]] std::uint8_t* data() {
    return block_ == nullptr ? nullptr : block_->bytes + begin_;
  }
  [[nodiscard]] const std::uint8_t* data() const {
    return block_ == nullptr ? nullptr : block_->bytes + begin_;
  }
  [[nodiscard]] std::span<std::uint8_t> bytes() { return {data(), size()}; }
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {data(), size()}; }
  // The tailroom, to be written and then taken in by commit().
  [[nodiscard]] std::span<std::uint8_t> tail() { return {data() + size(), tailroom()}; }

  // Takes `size` bytes of the tailroom into the view; at most tailroom().
  void commit(std::size_t size);
  // The same for what everybody on the wire sees, and which is not wiped therefore.
  void commit_public(std::size_t size);
  // Takes `size` bytes of the headroom into the view, contents as they are; at most headroom().
  void uncover(std::size_t size);
  // Drops bytes at the front (at most size()), or all but the first `size` (at most size()).
  void consume(std::size_t size);
  void truncate(std::size_t size);

  // Copy bytes to before the front or behind the end; kInvalidArgument where they do not fit.
  [[nodiscard]] ktls::Result<void> prepend(std::span<const std::uint8_t> bytes);
  [[nodiscard]] ktls::Result<void> append(std::span<const std::uint8_t> bytes);

  // Whether [offset, offset + size) counted from data() lies in the block.
  [[nodiscard]] bool holds(std::size_t offset, std::size_t size) const {
    const std::size_t room = block_ == nullptr ? 0 : kBufferBlockSize - begin_;
    return offset <= room && size <= room - offset;
  }

  // Notes that [offset, offset + size) counted from data() was written by others, so that it is
  // wiped; the view stays as it is.
  void mark_written(std::size_t offset, std::size_t size);

 private:
  friend class BufferPool;
  explicit Buffer(BufferBlock& block);

  BufferBlock* block_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Is told, on the loop's thread, that a block has come back.
class BufferObserver {
 public:
  BufferObserver() = default;
  BufferObserver(const BufferObserver&) = delete;
  BufferObserver& operator=(const BufferObserver&) = delete;
  virtual ~BufferObserver() = default;

  virtual void buffer_released() = 0;
};

// Leases blocks, up to a limit. A block that comes back is wiped as far as it was used: plaintext
// and handshake messages pass through, and clearing what was just in the cache costs far less
// than moving it did.
class BufferPool {
 public:
  explicit BufferPool(std::size_t buffers_max = kBuffersMaxDefault) : buffers_max_(buffers_max) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  // An empty Buffer with headroom kBufferHeadroom; kLimitReached when all are leased.
  [[nodiscard]] ktls::Result<Buffer> lease();

  [[nodiscard]] std::size_t leased() const { return leased_; }
  [[nodiscard]] std::size_t idle() const { return idle_count_; }
  [[nodiscard]] std::size_t buffers_max() const { return buffers_max_; }

  void observe(BufferObserver* observer) { observer_ = observer; }

 private:
  friend class Buffer;
  void release(BufferBlock& block);

  std::size_t buffers_max_;
  std::size_t leased_ = 0;
  std::size_t idle_count_ = 0;
  BufferBlock* idle_ = nullptr;
  BufferObserver* observer_ = nullptr;
};

}  // namespace bridge
