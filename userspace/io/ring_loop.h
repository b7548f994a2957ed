// RingLoop: the Loop on io_uring.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <liburing.h>

#include "userspace/io/flight.h"
#include "userspace/io/loop.h"
#include "userspace/io/provided_buffers.h"
#include "userspace/io/ring_wait.h"

namespace bridge {

// Requests are queued as coroutines make them and submitted together, once a round, by the call
// that also waits. One thread submits and takes completions, in the kernel too where it can do
// so (IORING_SETUP_SINGLE_ISSUER and DEFER_TASKRUN, Linux 6.1). The ring is created disabled and
// enabled by run(), so that the kernel takes run()'s thread for the submitter.
//
// Splicing is not left to io_uring, which would give every splice to a worker thread: it is
// waited for here, and done by the system call.
class RingLoop final : public Loop {
 public:
  [[nodiscard]] static ktls::Result<std::unique_ptr<Loop>> create(const LoopOptions& options);
  ~RingLoop() override;

  [[nodiscard]] LoopKind kind() const override { return LoopKind::kIoUring; }

  [[nodiscard]] Task<ktls::Result<ktls::UniqueFd>> accept(Scope& scope, int listener) override;
  [[nodiscard]] Task<ktls::Result<std::size_t>> receive(Scope& scope, int fd, Buffer buffer,
                                                        std::size_t offset,
                                                        std::size_t size) override;
  [[nodiscard]] Task<ktls::Result<Buffer>> receive_pooled(Scope& scope, int fd) override;
  [[nodiscard]] Task<ktls::Result<void>> send(Scope& scope, int fd, Buffer buffer,
                                              std::size_t offset, std::size_t size) override;
  [[nodiscard]] Task<ktls::Result<std::size_t>> read_file(Scope& scope, int fd,
                                                          std::uint64_t position, Buffer buffer,
                                                          std::size_t offset,
                                                          std::size_t size) override;

 private:
  friend class Flight;
  friend class RingWait;

  // Owns the io_uring.
  class Ring {
   public:
    Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    ~Ring() {
      if (open_) ::io_uring_queue_exit(&ring_);
    }

    // An Error says which call refused, and why.
    [[nodiscard]] ktls::Result<void> open();
    [[nodiscard]] ktls::Result<void> enable();
    [[nodiscard]] io_uring* get() { return &ring_; }

   private:
    io_uring ring_{};
    bool open_ = false;
    bool enabled_ = false;
  };

  RingLoop(const LoopOptions& options, ktls::UniqueFd wake);

  [[nodiscard]] Task<ktls::Result<void>> poll(Scope& scope, int fd, short events) override;
  [[nodiscard]] Task<ktls::Result<void>> connect_to(Scope& scope, int fd, sockaddr_storage address,
                                                    socklen_t address_size) override;
  [[nodiscard]] ktls::Result<void> prepare() override;
  [[nodiscard]] ktls::Result<void> wait(std::optional<Clock::time_point> until) override;
  void drain() override;

  [[nodiscard]] Flight& new_flight();
  void cancel(Flight& flight);
  void detach(Flight& flight);
  void land(Flight& flight, const io_uring_cqe& completion);
  void recycle_if_done(Flight& flight);

  [[nodiscard]] io_uring_sqe& next_sqe();
  void submit_all();
  void take_completions();
  void take_completion(const io_uring_cqe& completion);
  void watch_wake();

  ProvidedBuffers provided_;  // outlives ring_
  Ring ring_;
  bool wake_watched_ = false;
  bool draining_ = false;
  std::size_t flights_ = 0;
  std::size_t idle_flights_count_ = 0;
  Flight* idle_flights_ = nullptr;
};

}  // namespace bridge
