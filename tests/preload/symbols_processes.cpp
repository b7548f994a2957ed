// Each function that makes, replaces or ends a process.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

// The words of this program when it serves a connection as another one.
class Words {
 public:
  explicit Words(int fd) : path_(suite::own_path()), fd_(std::to_string(fd)) {}
  const char* path() const { return path_.c_str(); }
  const char* fd() const { return fd_.c_str(); }
  char* const* pointers() const { return pointers_; }

 private:
  std::string path_;
  std::string fd_;
  std::string another_ = suite::kAnotherProgram;
  std::string act_ = "connection";
  char* pointers_[5] = {path_.data(), another_.data(), act_.data(), fd_.data(), nullptr};
};

// In a child, that `execute` replaces.
void check_exec(const std::function<int(const Words&)>& execute) {
  const Connection pair;
  const Words words(pair.server);
  const pid_t child = suite::child([&] {
    execute(words);
    return 9;
  });
  ::close(pair.server);
  check_served(pair.client, child);
}

void of_execve() {
  const auto call = the(&::execve);
  char only[] = "A=B";
  char* environment[] = {only, nullptr};
  check_exec([&](const Words& words) { return call(words.path(), words.pointers(), environment); });
  check_exec([&](const Words& words) { return call(words.path(), words.pointers(), environ); });
  check_equal("absent", suite::outcome(call("/absent", environment, environ)), "ENOENT");
}

void of_execveat() {
  const auto call = the(&::execveat);
  check_exec([&](const Words& words) {
    return call(AT_FDCWD, words.path(), words.pointers(), environ, 0);
  });
}

void of_fexecve() {
  const auto call = the(&::fexecve);
  check_exec([&](const Words& words) {
    const int file = ::open(words.path(), O_RDONLY | O_CLOEXEC);
    return call(file, words.pointers(), environ);
  });
}

void of_execv() {
  check_exec(
      [call = the(&::execv)](const Words& words) { return call(words.path(), words.pointers()); });
}

void of_execvp() {
  check_exec(
      [call = the(&::execvp)](const Words& words) { return call(words.path(), words.pointers()); });
}

void of_execvpe() {
  check_exec([call = the(&::execvpe)](const Words& words) {
    return call(words.path(), words.pointers(), environ);
  });
}

void of_execl() {
  check_exec([call = the(&::execl)](const Words& words) {
    return call(words.path(), words.path(), suite::kAnotherProgram, "connection", words.fd(),
                nullptr);
  });
}

void of_execle() {
  check_exec([call = the(&::execle)](const Words& words) {
    return call(words.path(), words.path(), suite::kAnotherProgram, "connection", words.fd(),
                nullptr, environ);
  });
}

void of_posix_spawn() {
  const auto call = the(&::posix_spawn);
  const Connection pair;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pair.server, 77);
  const Words words(77);
  pid_t pid = -1;
  check("spawn", call(&pid, words.path(), &actions, nullptr, words.pointers(), environ) == 0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pair.server);
  check_served(pair.client, pid);
  check("absent", call(&pid, "/absent", nullptr, nullptr, words.pointers(), environ) == ENOENT);
}

// `serve` is what a child does with the connection, `make` makes it.
void check_fork(const std::function<pid_t(const std::function<void()>&)>& make) {
  const Connection pair;
  const auto serve = [&] {
    ::close(pair.client);
    suite::write_all(pair.server, "[" + suite::read_some(pair.server, 8) + "]");
    ::_exit(0);
  };
  const pid_t child = make(serve);
  check("forked", child > 0);
  ::close(pair.server);
  check_served(pair.client, child);
  const int other = suite::connected();
  const int server = suite::must(::accept(pair.listener, nullptr, nullptr), "accept");
  check_equal("afterwards", suite::talk(other, server), "both_ways");
}

void of_fork() {
  const auto call = the(&::fork);
  check_fork([call](const std::function<void()>& serve) {
    const pid_t pid = call();
    if (pid == 0) {
      serve();
    }
    return pid;
  });
}

// A child of vfork may do nothing but execute a program, and end.
void of_vfork() {
  const auto call = the(&::vfork);
  const Connection pair;
  const Words words(pair.server);
  const pid_t pid = call();
  if (pid == 0) {
    ::execve(words.path(), words.pointers(), environ);
    ::_exit(9);
  }
  ::close(pair.server);
  check_served(pair.client, pid);
}

int run_function(void* data) {
  (*static_cast<const std::function<void()>*>(data))();
  return 0;
}

void of_clone() {
  constexpr size_t kStack = size_t{256} * 1024;
  const auto call = the(&::clone);
  alignas(16) static char stack[kStack];
  check_fork([&](const std::function<void()>& serve) {
    auto function = serve;
    return call(run_function, stack + kStack, SIGCHLD, &function);
  });
}

void of_system() {
  const auto call = the(&::system);
  const Connection pair;
  const std::string to = std::to_string(pair.server);
  const pid_t child = suite::child(
      [&] { return call(("exec >&" + to + " <&" + to + "; read w; echo \"<$w>\"").c_str()); });
  check("write", suite::write_all(pair.client, "word\n"));
  check_equal("reply", suite::read_some(pair.client, 7), "<word>\n");
  check_equal("child", suite::ending(child), "exit_0");
  check("status", WEXITSTATUS(call("exit 7")) == 7);
  check_equal("talk", suite::talk(pair.client, pair.server), "both_ways");
}

void of_popen() {
  const auto call = the(&::popen);
  const Connection pair;
  const std::string to = std::to_string(pair.server);
  FILE* program = call(("cat >&" + to).c_str(), "w");
  check("popen", program != nullptr && std::fputs("by popen", program) >= 0);
  check("pclose", ::pclose(program) == 0);
  check_equal("data", suite::read_some(pair.client, 8), "by popen");
  program = call(("head -c 4 <&" + to).c_str(), "r");
  check("write", suite::write_all(pair.client, "four"));
  char room[8] = {};
  check("read", std::fread(room, 1, 8, program) == 4);
  check_equal("data", room, "four");
  check("pclose", ::pclose(program) == 0);
}

// Data is followed by the end, and no error.
void check_exit(const std::function<void(int)>& end) {
  const Connection pair;
  const pid_t child = suite::child([&] {
    suite::write_all(pair.server, "last words");
    ::close(pair.client);
    end(5);
    return 9;
  });
  ::close(pair.server);
  check_equal("data", suite::read_all(pair.client), "last words");
  char byte = 0;
  check_equal("end", suite::outcome(::read(pair.client, &byte, 1)), "0");
  check_equal("child", suite::ending(child), "exit_5");
}

void of_exit() {
  check_exit(the(&::_exit));
}

}  // namespace

std::span<const suite::Case> processes() {
  static constexpr suite::Case kCases[] = {
      {"_Fork", of_fork},
      {"vfork", of_vfork},
      {"clone", of_clone},
      {"posix_spawn", of_posix_spawn},
      {"posix_spawnp", of_posix_spawn},
      {"system", of_system},
      {"popen", of_popen},
      {"execve", of_execve},
      {"execveat", of_execveat},
      {"fexecve", of_fexecve},
      {"execv", of_execv},
      {"execvp", of_execvp},
      {"execvpe", of_execvpe},
      {"execl", of_execl},
      {"execlp", of_execl},
      {"execle", of_execle},
      {"_exit", of_exit},
      {"_Exit", of_exit},
  };
  return kCases;
}

}  // namespace symbols
