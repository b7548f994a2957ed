// stdio: what opens a stream of a descriptor, and tells the descriptor of a stream.
#include <cstdio>

#include "tools/preload/closing.h"
#include "tools/preload/exports.h"
#include "tools/preload/ours.h"
#include "tools/preload/reading.h"
#include "tools/preload/streams.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

// Of a socket that may become a connection as well: its stream outlives that.
bool wants_stream(int fd) {
  const Wrapped* const wrapped = find(fd);
  if (wrapped == nullptr) return false;
  const Kind kind = kind_of(*wrapped);
  return kind != Kind::kInternal && kind != Kind::kEpoll && kind != Kind::kListener;
}

// libc is about to close the descriptor of a stream of its own without asking the shim.
void let_go_of_stream(std::FILE* stream) {
  if (stream == nullptr || number_of(stream) >= 0) return;
  const ErrnoKept kept;
  const int fd = real::fileno(stream);
  if (fd < 0 || find_minded(fd) == nullptr) return;
  std::fflush(stream);
  let_go_of(fd);
}

}  // namespace
}  // namespace preload

namespace real = preload::real;

PRELOAD_EXPORT FILE* fdopen(int fd, const char* mode) noexcept {
  if (!preload::wants_stream(fd)) return real::fdopen(fd, mode);
  return preload::open_stream(fd, mode);
}

PRELOAD_EXPORT int fileno(FILE* stream) noexcept {
  const int fd = preload::number_of(stream);
  return fd >= 0 ? fd : real::fileno(stream);
}

PRELOAD_EXPORT int fileno_unlocked(FILE* stream) noexcept {
  const int fd = preload::number_of(stream);
  return fd >= 0 ? fd : real::fileno_unlocked(stream);
}

PRELOAD_EXPORT int fclose(FILE* stream) {
  preload::let_go_of_stream(stream);
  return real::fclose(stream);
}

PRELOAD_EXPORT FILE* freopen(const char* path, const char* mode, FILE* stream) {
  preload::let_go_of_stream(stream);
  return real::freopen(path, mode, stream);
}

PRELOAD_EXPORT FILE* freopen64(const char* path, const char* mode, FILE* stream) {
  preload::let_go_of_stream(stream);
  return real::freopen64(path, mode, stream);
}

PRELOAD_EXPORT int daemon(int stays, int keeps_streams) noexcept {
  const int detached = real::daemon(stays, 1);
  if (detached != 0 || keeps_streams != 0) return detached;
  // As daemon(3) does it, but by the functions of this library.
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere < 0) return -1;
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) __real_dup2(nowhere, fd);
  if (nowhere > STDERR_FILENO) ::close(nowhere);
  return 0;
}
