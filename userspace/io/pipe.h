// Pipe and PipePool: pipes to splice through, leased only while they hold bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace bridge {

// Splicing from a kTLS socket counts a whole record as moved even where the pipe took less, so
// the pipe must be empty and able to take the largest record in any fragmentation.
inline constexpr std::size_t kPipeSizeMin = std::size_t{128} * 1024;
// Twice that where the user's allowance of pipe pages (16,384 by default) permits.
inline constexpr std::size_t kPipeSizeWanted = std::size_t{256} * 1024;
// Pipes kept for reuse. Few: idle pipes of one loop count against the same allowance as those
// that other loops and programs of the user could put to work.
inline constexpr std::size_t kIdlePipesMax = 16;
// Leases at a time unless told otherwise: at kPipeSizeMin this is the whole allowance.
inline constexpr std::size_t kPipesMaxDefault = 512;

class PipePool;

// A lease. Both ends are O_NONBLOCK and O_CLOEXEC. A pipe that comes back empty is used again;
// one that still holds bytes is closed with them, so that nobody reads another connection's.
class Pipe {
 public:
  Pipe() = default;
  Pipe(Pipe&& other) noexcept;
  Pipe& operator=(Pipe&& other) noexcept;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() { reset(); }

  // Gives the pipe back.
  void reset();

  [[nodiscard]] bool valid() const { return pool_ != nullptr; }
  [[nodiscard]] int read_end() const { return read_end_.get(); }
  [[nodiscard]] int write_end() const { return write_end_.get(); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  friend class PipePool;

  PipePool* pool_ = nullptr;
  ktls::UniqueFd read_end_;
  ktls::UniqueFd write_end_;
  std::size_t capacity_ = 0;
};

// Not thread-safe; leases must not outlive it.
class PipePool {
 public:
  explicit PipePool(std::size_t pipes_max = kPipesMaxDefault) : pipes_max_(pipes_max) {}
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  // An empty pipe of at least kPipeSizeMin. kLimitReached (with errno, if the kernel said so)
  // when none so large can be had: copy through a Buffer instead.
  [[nodiscard]] ktls::Result<Pipe> lease();

  [[nodiscard]] std::size_t leased() const { return leased_; }
  [[nodiscard]] std::size_t idle() const { return idle_.size(); }

 private:
  friend class Pipe;
  void give_back(Pipe& pipe);

  std::size_t pipes_max_;
  std::size_t leased_ = 0;
  std::vector<Pipe> idle_;
};

}  // namespace bridge
