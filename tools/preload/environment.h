// The environment of a program that is run from under the shim: it is to be under it as well.
#pragma once

#include <cstddef>

namespace preload {

// Remembers what the shim was started with; the constructor calls it.
void remember_environment();
// The channel has another number. Without setenv(3), for it may be a signal handler that is called.
void remember_channel(int fd);
// Whether a program that is given this environment is under the shim.
[[nodiscard]] bool is_complete(char* const given[]);

// `given` with the shim's own variables as they were at the start of this process, where they are
// missing or others: LD_PRELOAD gets the library in front. Freed by its end, which a successful
// exec does not see.
class ProgramEnvironment {
 public:
  explicit ProgramEnvironment(char* const given[]);
  ~ProgramEnvironment();
  ProgramEnvironment(const ProgramEnvironment&) = delete;
  ProgramEnvironment& operator=(const ProgramEnvironment&) = delete;

  [[nodiscard]] char* const* get() const { return variables_; }

 private:
  char* const* variables_;
  void* room_ = nullptr;
  std::size_t room_size_ = 0;
};

}  // namespace preload
