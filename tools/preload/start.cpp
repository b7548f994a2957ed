// The beginning of the shim in a process: before main(), and after the libraries of the program.
#include <cstdlib>

#include <pthread.h>

#include "tools/preload/channel.h"
#include "tools/preload/closing.h"
#include "tools/preload/environment.h"
#include "tools/preload/identity.h"
#include "tools/preload/real.h"
#include "tools/preload/setting.h"
#include "tools/preload/streams.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

void before_fork() {
  hold_lock();
  mark_all_shared();
}

void in_child() {
  mark_all_parents();
  release_lock();
}

void at_end() {
  flush_streams();
  close_all();
}

__attribute__((constructor)) void start() {
  const ErrnoKept kept;
  real::resolve();
  read_setting();
  open_channel();
  remember_environment();
  ::pthread_atfork(before_fork, release_lock, in_child);
  std::atexit(at_end);
  std::at_quick_exit(close_all);
  recognise_all();
  adopt_standard_streams();
}

}  // namespace
}  // namespace preload
