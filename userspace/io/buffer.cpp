// The blocks behind Buffer: leased, counted, wiped and kept for reuse.

#include "userspace/io/buffer.h"

#include <algorithm>
#include <cassert>

#include <string.h>  // explicit_bzero

namespace bridge {

Buffer::Buffer(BufferBlock& block) : block_(&block), begin_(kBufferHeadroom), end_(begin_) {}

void Buffer::reset() {
  begin_ = end_ = 0;
  BufferBlock* const block = std::exchange(block_, nullptr);
  if (block != nullptr && --block->references == 0) block->pool->release(*block);
}

void Buffer::commit(std::size_t size) {
  assert(size <= tailroom());
  mark_written(this->size(), size);
  end_ += size;
}

void Buffer::commit_public(std::size_t size) {
  assert(size <= tailroom());
  end_ += size;
}

void Buffer::uncover(std::size_t size) {
  assert(size <= headroom());
  begin_ -= size;
  mark_written(0, size);
}

void Buffer::consume(std::size_t size) {
  assert(size <= this->size());
  begin_ += size;
}

void Buffer::truncate(std::size_t size) {
  assert(size <= this->size());
  end_ = begin_ + size;
}

ktls::Result<void> Buffer::prepend(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > headroom()) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "buffer headroom"));
  }
  uncover(bytes.size());
  std::copy(bytes.begin(), bytes.end(), data());
  return {};
}

ktls::Result<void> Buffer::append(std::span<const std::uint8_t> bytes) {
  if (bytes.size() > tailroom()) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, "buffer tailroom"));
  }
  std::copy(bytes.begin(), bytes.end(), data() + size());
  commit(bytes.size());
  return {};
}

void Buffer::mark_written(std::size_t offset, std::size_t size) {
  if (block_ == nullptr || size == 0) return;
  assert(begin_ + offset + size <= kBufferBlockSize);
  block_->used_begin = std::min(block_->used_begin, begin_ + offset);
  block_->used_end = std::max(block_->used_end, begin_ + offset + size);
}

BufferPool::~BufferPool() {
  assert(leased_ == 0);
  while (idle_ != nullptr) delete std::exchange(idle_, idle_->next_idle);
}

ktls::Result<Buffer> BufferPool::lease() {
  if (leased_ == buffers_max_) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kLimitReached, "all buffers are in use"));
  }
  BufferBlock* block = idle_;
  if (block != nullptr) {
    idle_ = block->next_idle;
    --idle_count_;
  } else {
    block = new BufferBlock;
  }
  ++leased_;
  block->pool = this;
  block->next_idle = nullptr;
  block->references = 1;
  block->used_begin = kBufferBlockSize;
  block->used_end = 0;
  return Buffer(*block);
}

void BufferPool::release(BufferBlock& block) {
  if (block.used_begin < block.used_end) {
    ::explicit_bzero(block.bytes + block.used_begin, block.used_end - block.used_begin);
  }
  --leased_;
  if (idle_count_ < kIdleBuffersMax) {
    block.next_idle = idle_;
    idle_ = &block;
    ++idle_count_;
  } else {
    delete &block;
  }
  if (observer_ != nullptr) observer_->buffer_released();
}

}  // namespace bridge
