// stdio: what opens a stream of a descriptor, and tells the descriptor of a stream.
#include <cstdio>

#include "tools/preload/exports.h"
#include "tools/preload/real.h"
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
