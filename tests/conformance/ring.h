// Ring: an io_uring on which one request at a time goes round.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <liburing.h>

#include "ktls/base/result.h"

namespace conformance {

class Ring {
 public:
  // Error: kSystem.
  [[nodiscard]] static ktls::Result<Ring> create();

  // The result of the request: bytes, or -errno.
  [[nodiscard]] int send(int fd, std::span<const std::uint8_t> bytes);
  [[nodiscard]] int receive(int fd, std::span<std::uint8_t> bytes);

 private:
  struct Exit {
    void operator()(io_uring* ring) const;
  };

  explicit Ring(std::unique_ptr<io_uring, Exit> ring) : ring_(std::move(ring)) {}
  [[nodiscard]] int round_trip();

  std::unique_ptr<io_uring, Exit> ring_;
};

}  // namespace conformance
