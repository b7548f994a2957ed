// ProvidedBuffers: blocks that the kernel picks from when bytes arrive, so that a connection
// that waits for some holds none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "userspace/io/buffer.h"

struct io_uring;
struct io_uring_buf_ring;

namespace bridge {

// A ring of buffers registered with an io_uring (Linux 5.19). The kernel writes behind the
// headroom, so what it fills is a Buffer like any other.
class ProvidedBuffers {
 public:
  // Blocks on offer: as many receives can complete in one round without waiting for a refill;
  // the others try again in the next. 1.3 MiB a loop.
  static constexpr unsigned kProvidedMax = 16;
  static constexpr std::uint16_t kGroup = 0;

  explicit ProvidedBuffers(BufferPool& pool) : pool_(pool) {}
  ProvidedBuffers(const ProvidedBuffers&) = delete;
  ProvidedBuffers& operator=(const ProvidedBuffers&) = delete;
  ~ProvidedBuffers();

  // False where the kernel has no such rings, or the pool is too small to lend it any; then the
  // other members must not be used, but for registered().
  [[nodiscard]] bool register_with(io_uring& ring);
  [[nodiscard]] bool registered() const { return ring_ != nullptr; }

  // Offers blocks in place of those taken, as far as the pool has any. True if any was added.
  bool refill();

  // The block that a completion with `id` filled with `size` bytes.
  [[nodiscard]] Buffer take(std::uint16_t id, std::size_t size);

 private:
  BufferPool& pool_;
  io_uring_buf_ring* ring_ = nullptr;
  unsigned provided_max_ = 0;
  unsigned missing_ = 0;
  std::array<Buffer, kProvidedMax> offered_;
};

}  // namespace bridge
