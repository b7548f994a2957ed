// EpollLoop: the Loop on epoll: system calls that do not wait, and waiting for readiness.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "userspace/io/loop.h"

namespace bridge {

// Each wait arms its descriptor once (EPOLLONESHOT): after it has fired, the registration that
// stays behind is silent, also when the descriptor is closed while a duplicate of it lives on
// elsewhere. A wait that is given up is disarmed at once. What is reported late for a number
// that means another file by now is known by its generation.
class EpollLoop final : public Loop {
 public:
  [[nodiscard]] static ktls::Result<std::unique_ptr<Loop>> create(const LoopOptions& options);

  [[nodiscard]] LoopKind kind() const override { return LoopKind::kEpoll; }

  [[nodiscard]] Task<ktls::Result<ktls::UniqueFd>> accept(Scope& scope, int listener) override;
  [[nodiscard]] Task<ktls::Result<std::size_t>> receive(Scope& scope, int fd, Buffer buffer,
                                                        std::size_t offset,
                                                        std::size_t size) override;
  [[nodiscard]] Task<ktls::Result<Buffer>> receive_pooled(Scope& scope, int fd) override;
  [[nodiscard]] Task<ktls::Result<void>> send(Scope& scope, int fd, Buffer buffer,
                                              std::size_t offset, std::size_t size) override;

 private:
  class PollWait;
  struct DescriptorTag;

  // What is known of a descriptor number.
  struct Descriptor {
    List<PollWait, DescriptorTag> waits;
    std::uint32_t generation = 0;  // of the present arming
    std::uint32_t armed = 0;       // events; 0: fired or never armed
    bool registered = false;       // probably; a closed and reopened number is not
  };

  EpollLoop(const LoopOptions& options, ktls::UniqueFd wake, ktls::UniqueFd epoll);

  [[nodiscard]] Task<ktls::Result<void>> poll(Scope& scope, int fd, short events) override;
  [[nodiscard]] Task<ktls::Result<void>> connect_to(Scope& scope, int fd, sockaddr_storage address,
                                                    socklen_t address_size) override;
  [[nodiscard]] ktls::Result<void> prepare() override;
  [[nodiscard]] ktls::Result<void> wait(std::optional<Clock::time_point> until) override;
  void drain() override {}

  [[nodiscard]] bool knows(int fd) const {
    return fd >= 0 && static_cast<std::size_t>(fd) < descriptors_.size();
  }
  [[nodiscard]] Descriptor& descriptor(int fd);
  void renewed(int fd);
  [[nodiscard]] int arm(int fd);
  void disarm_if_unused(int fd);
  void take_event(int fd, std::uint32_t generation, std::uint32_t events);

  ktls::UniqueFd epoll_;
  bool prepared_ = false;
  // By number. A deque, because lists in it must not move as it grows; as long as the highest
  // descriptor waited for, which RLIMIT_NOFILE bounds.
  std::deque<Descriptor> descriptors_;
};

}  // namespace bridge
