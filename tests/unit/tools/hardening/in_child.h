// in_child(): a claim that is put to the proof by a process that may give away its rights for it.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace tools {

// What waitpid(2) says of it; 0 if `claim` is true.
template <typename Claim>
[[nodiscard]] int in_child(const Claim& claim) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(claim() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace tools
