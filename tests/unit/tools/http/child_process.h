// status_of(): a claim that is put to the proof in a process of its own, whose limits and rights
// may be changed without harm to the tests that follow.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace http {

// 0 if `claim` is true.
template <typename Claim>
[[nodiscard]] int status_of(const Claim& claim) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(claim() ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace http
