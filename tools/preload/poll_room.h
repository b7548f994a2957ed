// Room for what poll(2) is asked, without malloc: a few on the stack, more from the system.
#pragma once

#include <array>
#include <cstddef>

#include <poll.h>
#include <sys/mman.h>

namespace preload {

class PollRoom {
 public:
  explicit PollRoom(std::size_t count) : size_(count * sizeof(pollfd)) {
    if (count <= few_.size()) {
      all_ = few_.data();
      return;
    }
    void* const room =
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room != MAP_FAILED) all_ = static_cast<pollfd*>(room);
  }
  ~PollRoom() {
    if (all_ != nullptr && all_ != few_.data()) ::munmap(all_, size_);
  }
  PollRoom(const PollRoom&) = delete;
  PollRoom& operator=(const PollRoom&) = delete;

  [[nodiscard]] bool has_room() const { return all_ != nullptr; }
  pollfd& operator[](std::size_t i) { return all_[i]; }
  pollfd* data() { return all_; }

 private:
  std::array<pollfd, 64> few_;
  pollfd* all_ = nullptr;
  std::size_t size_;
};

}  // namespace preload
