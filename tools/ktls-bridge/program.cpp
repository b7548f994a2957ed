// Starting a program without copying this process, whose memory holds keys.

#include "tools/ktls-bridge/program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/hardening/core_dump.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

// RLIMIT_CORE and RLIMIT_NOFILE, which this program changes for itself.
struct Limits {
  rlimit core{RLIM_INFINITY, RLIM_INFINITY};
  rlimit open_files{1024, 1024};
};
Limits& original_limits() {
  static Limits limits;
  return limits;
}

// SIGPIPE, which this program ignores, and SIGCHLD, without which it would not learn how a program
// ended; others are as they were. And what was blocked.
struct SignalState {
  bool ignores_pipe = false;
  bool ignores_child = false;
  sigset_t blocked{};
};
SignalState& original_signals() {
  static SignalState signals;
  return signals;
}

bool is_ignored(int number) {
  struct sigaction action {};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// systemd writes them for whom it starts, which is us; sd_listen_fds(3) and sd_watchdog_enabled(3)
// believe them only where they are the reader's own. What a service of ours has to say is taken out
// before: what is left is for a program in our place.
constexpr std::array<std::string_view, 2> kPidVariables = {"LISTEN_PID=", "WATCHDOG_PID="};
constexpr std::size_t kPidDigitsMax = 20;

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& each : strings) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Everything that the child needs, made before there is one: it shares our memory and may call
// nothing but the system.
struct Prepared {
  std::string path;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::pair<int, int>> descriptors;
  std::vector<char*> argument_pointers;
  std::vector<char*> environment_pointers;
  std::vector<char*> pids;  // where the digits of its own go
  Group group;
  Limits limits;
  SignalState signals;

  explicit Prepared(const Launch& launch)
      : path(launch.path),
        arguments(launch.arguments),
        environment(launch.environment),
        descriptors(launch.descriptors),
        group(launch.group),
        limits(original_limits()),
        signals(original_signals()) {
    for (std::string& each : environment) make_room_for_pid(each);
    argument_pointers = pointers_to(arguments);
    environment_pointers = pointers_to(environment);
  }

  void make_room_for_pid(std::string& variable) {
    for (const std::string_view name : kPidVariables) {
      if (variable != std::string(name) + std::to_string(::getpid())) continue;
      variable.resize(name.size() + kPidDigitsMax + 1);
      pids.push_back(variable.data() + name.size());
      return;
    }
  }
};

// Sources above every target, so that no dup2() hits one that is still to be copied.
bool place_descriptors(std::vector<std::pair<int, int>>& descriptors) {
  int above = STDERR_FILENO;
  for (const auto& [source, target] : descriptors) above = std::max(above, target);
  for (auto& [source, target] : descriptors) {
    source = ::fcntl(source, F_DUPFD_CLOEXEC, above + 1);
    if (source < 0) return false;
  }
  return std::ranges::all_of(descriptors,
                             [](const auto& each) { return ::dup2(each.first, each.second) >= 0; });
}

void write_pid(char* digits) {
  const auto end = std::to_chars(digits, digits + kPidDigitsMax, ::getpid()).ptr;
  *end = '\0';
}

// In the child, which has our memory until it executes: answers errno if it cannot.
int execute(Prepared& prepared) {
  if (prepared.group == Group::kOwn) ::setpgid(0, 0);
  for (char* const digits : prepared.pids) write_pid(digits);
  if (!place_descriptors(prepared.descriptors)) return errno;
  ::setrlimit(RLIMIT_CORE, &prepared.limits.core);
  ::setrlimit(RLIMIT_NOFILE, &prepared.limits.open_files);
  ::signal(SIGPIPE, prepared.signals.ignores_pipe ? SIG_IGN : SIG_DFL);
  ::signal(SIGCHLD, prepared.signals.ignores_child ? SIG_IGN : SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &prepared.signals.blocked, nullptr);
  ::execve(prepared.path.c_str(), prepared.argument_pointers.data(),
           prepared.environment_pointers.data());
  return errno;
}

// vfork: a copy of this process would have its keys, and a large one takes long to copy. The
// thread waits until the child has executed or ended, so that `failure` is written by then.
pid_t spawn(Prepared& prepared, volatile int& failure) {
  const pid_t pid = ::vfork();  // NOLINT(clang-analyzer-security.insecureAPI.vfork)
  if (pid != 0) return pid;
  failure = execute(prepared);  // NOLINT(clang-analyzer-unix.Vfork): system calls alone
  ::_exit(127);
}

}  // namespace

Result<std::string> find_program(const std::string& name) {
  int sys_errno = ENOENT;
  const auto is_program = [&sys_errno](const std::string& path) {
    if (::access(path.c_str(), X_OK) == 0) return true;
    if (errno == EACCES) sys_errno = EACCES;
    return false;
  };
  if (name.find('/') != std::string::npos) {
    if (is_program(name)) return name;
    return ktls::fail(Error::system(sys_errno, name));
  }
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe)
  std::string_view rest = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
    if (end != 0 && is_program(candidate)) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return ktls::fail(Error::system(sys_errno, name));
}

void Program::remember_signals() {
  SignalState& signals = original_signals();
  signals.ignores_pipe = is_ignored(SIGPIPE);
  signals.ignores_child = is_ignored(SIGCHLD);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &signals.blocked);
  ::signal(SIGCHLD, SIG_DFL);
}

void Program::remember_limits() {
  ::getrlimit(RLIMIT_CORE, &original_limits().core);
  ::getrlimit(RLIMIT_NOFILE, &original_limits().open_files);
}

std::size_t Program::open_files_limit() {
  return original_limits().open_files.rlim_cur;
}

Result<Program> Program::start(const Launch& launch) {
  Prepared prepared(launch);
  // A signal that came to the child before it has executed would run in our memory.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  volatile int failure = 0;
  const pid_t pid = spawn(prepared, failure);
  const int sys_errno = pid < 0 ? errno : failure;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid > 0 && sys_errno != 0) ::waitpid(pid, nullptr, 0);
  if (sys_errno != 0) return ktls::fail(Error::system(sys_errno, launch.path));
  // Its number is its own until it is reaped, which is ours to do.
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) {
    Error error = Error::system(errno, "pidfd_open");
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return ktls::fail(std::move(error));
  }
  restore_core_filter_of(pid);
  return Program(pid, launch.group, std::move(process));
}

Result<ProgramEnd> Program::reap() {
  int status = status_.value_or(0);
  pid_t reaped = 0;
  do {
    if (!status_) reaped = ::waitpid(pid_, &status, 0);
  } while (reaped < 0 && errno == EINTR);
  if (reaped < 0) return ktls::fail(Error::system(errno, "waitpid"));
  if (WIFSIGNALED(status)) return ProgramEnd{.status = 0, .signal = WTERMSIG(status)};
  return ProgramEnd{.status = WEXITSTATUS(status), .signal = 0};
}

void Program::reap_orphans() {
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == pid_) status_ = status;
  }
}

void Program::signal(int number) const {
  if (status_) return;  // another process may have its number
  ::kill(group_ == Group::kOwn ? -pid_ : pid_, number);
}

}  // namespace tools
