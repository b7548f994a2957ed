// The buffer ring shared with the kernel.

#include "userspace/io/provided_buffers.h"

#include <algorithm>
#include <utility>

#include <liburing.h>
#include <sys/mman.h>

namespace bridge {
namespace {

constexpr std::size_t kRingBytes = ProvidedBuffers::kProvidedMax * sizeof(io_uring_buf);
static_assert((ProvidedBuffers::kProvidedMax & (ProvidedBuffers::kProvidedMax - 1)) == 0,
              "the kernel wants a power of two");

}  // namespace

// The io_uring is closed by now, so the kernel has let go of the memory.
ProvidedBuffers::~ProvidedBuffers() {
  if (ring_ != nullptr) ::munmap(ring_, kRingBytes);
}

bool ProvidedBuffers::register_with(io_uring& ring) {
  // A quarter at most: the rest is for those who lease.
  provided_max_ =
      static_cast<unsigned>(std::min<std::size_t>(kProvidedMax, pool_.buffers_max() / 4));
  if (provided_max_ == 0) return false;
  void* const memory =
      ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = kProvidedMax;
  registration.bgid = kGroup;
  if (::io_uring_register_buf_ring(&ring, &registration, 0) != 0) {
    ::munmap(memory, kRingBytes);
    return false;
  }
  ring_ = static_cast<io_uring_buf_ring*>(memory);
  ::io_uring_buf_ring_init(ring_);
  missing_ = provided_max_;
  refill();
  return true;
}

bool ProvidedBuffers::refill() {
  int added = 0;
  for (unsigned id = 0; id < provided_max_ && missing_ > 0; ++id) {
    if (offered_[id].has_block()) continue;
    ktls::Result<Buffer> buffer = pool_.lease();
    if (!buffer) break;
    offered_[id] = std::move(*buffer);
    ::io_uring_buf_ring_add(ring_, offered_[id].data(), kBufferSize,
                            static_cast<unsigned short>(id), ::io_uring_buf_ring_mask(kProvidedMax),
                            added++);
    --missing_;
  }
  if (added > 0) ::io_uring_buf_ring_advance(ring_, added);
  return added > 0;
}

Buffer ProvidedBuffers::take(std::uint16_t id, std::size_t size) {
  Buffer buffer = std::move(offered_[id]);
  buffer.commit(size);
  ++missing_;
  return buffer;
}

}  // namespace bridge
