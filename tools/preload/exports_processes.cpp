// Programs that make others: copies of themselves, and by exec.
#include <cerrno>
#include <cstdarg>

#include "tools/preload/closing.h"
#include "tools/preload/environment.h"
#include "tools/preload/exports.h"
#include "tools/preload/program_check.h"
#include "tools/preload/real.h"
#include "tools/preload/wrapped.h"

using preload::ProgramEnvironment;

namespace preload {
namespace {

void share_all() {
  const Changing changing;
  mark_all_shared();
}

bool has_any() {
  return count_of(Kind::kListener) + count_of(Kind::kPending) + count_of(Kind::kDirect) +
             count_of(Kind::kRelayed) + count_of(Kind::kFresh) >
         0;
}

// Whether clone(2) makes a process whose descriptors are its own, and so end by themselves.
bool copies_descriptors(int flags) {
  return (flags & (CLONE_FILES | CLONE_THREAD | CLONE_SETTLS)) == 0 && has_any();
}

struct Child {
  int (*run)(void*);
  void* argument;
};

// In the copy, which has the lock as the parent has.
int run_child(void* argument) {
  const Child child = *static_cast<Child*>(argument);
  release_lock();
  return child.run(child.argument);
}

// The arguments of execl(3) and the like: `first`, and those behind it up to the null pointer. The
// pointers are read twice, once to be counted, so that the array is no larger than it needs to be.
template <class Run>
int run_with_list(const char* first, va_list arguments, Run run) {
  va_list counting;
  va_copy(counting, arguments);
  std::size_t count = 1;
  while (va_arg(counting, char*) != nullptr) ++count;
  va_end(counting);
  constexpr std::size_t kArgumentsMax = 131'072;  // MAX_ARG_STRINGS is larger, the stack is not
  if (count > kArgumentsMax) {
    errno = E2BIG;
    return -1;
  }
  auto** const all = static_cast<char**>(__builtin_alloca((count + 1) * sizeof(char*)));
  all[0] = const_cast<char*>(first);
  for (std::size_t i = 1; i <= count; ++i) all[i] = va_arg(arguments, char*);
  return run(all);
}

// system(3) and popen(3) give what they run the environment of this process, which the program may
// have emptied.
class WholeEnvironment {
 public:
  WholeEnvironment() : before_(environ), ours_(environ) {
    if (environ == nullptr || !is_complete(environ)) environ = const_cast<char**>(ours_.get());
  }
  ~WholeEnvironment() { environ = before_; }
  WholeEnvironment(const WholeEnvironment&) = delete;
  WholeEnvironment& operator=(const WholeEnvironment&) = delete;

 private:
  char** before_;
  ProgramEnvironment ours_;
};

}  // namespace
}  // namespace preload

// A child of vfork() may do next to nothing, and this library does more; POSIX allows it to be
// fork().
PRELOAD_EXPORT pid_t vfork() noexcept {
  return ::fork();
}

PRELOAD_EXPORT pid_t _Fork() noexcept {
  preload::hold_lock();
  preload::mark_all_shared();
  const pid_t pid = preload::real::_Fork();
  const int error = errno;
  preload::release_lock();
  errno = error;
  return pid;
}

PRELOAD_EXPORT int clone(int (*run)(void*), void* stack, int flags, void* argument, ...) noexcept {
  va_list arguments;
  va_start(arguments, argument);
  void* const parent_tid = va_arg(arguments, void*);
  void* const tls = va_arg(arguments, void*);
  void* const child_tid = va_arg(arguments, void*);
  va_end(arguments);
  if (!preload::copies_descriptors(flags)) {
    return preload::real::clone(run, stack, flags, argument, parent_tid, tls, child_tid);
  }
  // With descriptors of its own, but the table in common, a child would end what is the parent's.
  preload::Child child{run, argument};
  preload::hold_lock();
  preload::mark_all_shared();
  const int pid = preload::real::clone(preload::run_child, stack, flags & ~CLONE_VM, &child,
                                       parent_tid, tls, child_tid);
  const int error = errno;
  preload::release_lock();
  errno = error;
  return pid;
}

PRELOAD_EXPORT int posix_spawn(pid_t* pid, const char* path,
                               const posix_spawn_file_actions_t* actions,
                               const posix_spawnattr_t* attributes, char* const arguments[],
                               char* const environment[]) {
  preload::warn_of_program(path);
  preload::share_all();
  const ProgramEnvironment ours(environment);
  return preload::real::posix_spawn(pid, path, actions, attributes, arguments, ours.get());
}

PRELOAD_EXPORT int posix_spawnp(pid_t* pid, const char* file,
                                const posix_spawn_file_actions_t* actions,
                                const posix_spawnattr_t* attributes, char* const arguments[],
                                char* const environment[]) {
  preload::warn_of_file(file);
  preload::share_all();
  const ProgramEnvironment ours(environment);
  return preload::real::posix_spawnp(pid, file, actions, attributes, arguments, ours.get());
}

PRELOAD_EXPORT int system(const char* command) {
  preload::share_all();
  const preload::WholeEnvironment whole;
  return preload::real::system(command);
}

PRELOAD_EXPORT FILE* popen(const char* command, const char* mode) {
  preload::share_all();
  const preload::WholeEnvironment whole;
  return preload::real::popen(command, mode);
}

PRELOAD_EXPORT int execve(const char* path, char* const arguments[],
                          char* const environment[]) noexcept {
  preload::warn_of_program(path);
  const ProgramEnvironment ours(environment);
  return preload::real::execve(path, arguments, ours.get());
}

PRELOAD_EXPORT int execveat(int directory, const char* path, char* const arguments[],
                            char* const environment[], int flags) noexcept {
  const ProgramEnvironment ours(environment);
  return preload::real::execveat(directory, path, arguments, ours.get(), flags);
}

PRELOAD_EXPORT int fexecve(int fd, char* const arguments[], char* const environment[]) noexcept {
  const ProgramEnvironment ours(environment);
  return preload::real::fexecve(fd, arguments, ours.get());
}

PRELOAD_EXPORT int execv(const char* path, char* const arguments[]) noexcept {
  return ::execve(path, arguments, environ);
}

PRELOAD_EXPORT int execvpe(const char* file, char* const arguments[],
                           char* const environment[]) noexcept {
  preload::warn_of_file(file);
  const ProgramEnvironment ours(environment);
  return preload::real::execvpe(file, arguments, ours.get());
}

PRELOAD_EXPORT int execvp(const char* file, char* const arguments[]) noexcept {
  return ::execvpe(file, arguments, environ);
}

PRELOAD_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const int failed = preload::run_with_list(
      first, arguments, [path](char** all) { return ::execve(path, all, environ); });
  va_end(arguments);
  return failed;
}

PRELOAD_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const int failed = preload::run_with_list(
      first, arguments, [file](char** all) { return ::execvpe(file, all, environ); });
  va_end(arguments);
  return failed;
}

PRELOAD_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const int failed = preload::run_with_list(first, arguments, [&](char** all) {
    // The environment comes behind the null pointer.
    auto** const environment = va_arg(arguments, char**);
    return ::execve(path, all, environment);
  });
  va_end(arguments);
  return failed;
}

PRELOAD_EXPORT void _exit(int status) {
  preload::close_all();
  preload::real::_exit(status);
  __builtin_unreachable();
}

PRELOAD_EXPORT void _Exit(int status) noexcept {
  preload::close_all();
  preload::real::_Exit(status);
  __builtin_unreachable();
}
