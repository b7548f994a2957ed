// Other programs: started by exec, posix_spawn, system and popen with what this one has open.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

std::vector<std::string> words_of(const char* act, int fd) {
  return {own_path(), kAnotherProgram, act, std::to_string(fd)};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) {
    all.push_back(word.data());
  }
  all.push_back(nullptr);
  return all;
}

int execute(const char* act, int fd) {
  std::vector<std::string> words = words_of(act, fd);
  ::execv(words[0].c_str(), pointers(words).data());
  return 9;
}

// The client's side of it.
std::string ask(int fd) {
  write_all(fd, "question");
  return read_all(fd);
}

void exec_with_connection() {
  const Pair pair = pair_of();
  const pid_t pid = child([&] { return execute("connection", pair.server); });
  ::close(pair.server);
  say("reply", ask(pair.client));
  say("program", ending(pid));
}

void exec_with_listener() {
  const int fd = listener();
  const pid_t pid = child([&] { return execute("listener", fd); });
  ::close(fd);
  const int client = connected();
  say("reply", ask(client));
  say("program", ending(pid));
  const int refused = tcp_socket(AF_INET);
  say("closed", outcome(start_connect(refused, AF_INET, port(0))));
}

void exec_without() {
  const Pair pair = pair_of();
  must(::fcntl(pair.server, F_SETFD, FD_CLOEXEC), "F_SETFD");
  say("program", ending(child([&] { return execute("connection", pair.server); })));
  say("talk", talk(pair.client, pair.server));
}

void exec_in_a_new_environment() {
  const Pair pair = pair_of();
  const pid_t pid = child([&] {
    std::vector<std::string> words = words_of("connection", pair.server);
    char setting[] = "A=B";
    char* environment[] = {setting, nullptr};
    ::execve(words[0].c_str(), pointers(words).data(), environment);
    return 9;
  });
  ::close(pair.server);
  say("reply", ask(pair.client));
  say("program", ending(pid));
}

void spawned() {
  const Pair pair = pair_of();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pair.server, 100);
  std::vector<std::string> words = words_of("connection", 100);
  pid_t pid = -1;
  say("spawn",
      ::posix_spawn(&pid, words[0].c_str(), &actions, nullptr, pointers(words).data(), environ));
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pair.server);
  say("reply", ask(pair.client));
  say("program", ending(pid));
}

// As inetd starts its programs: the connection is standard input and output.
void as_standard_streams() {
  const Pair pair = pair_of();
  const pid_t pid = child([&] {
    ::dup2(pair.server, 0);
    ::dup2(pair.server, 1);
    ::close(pair.server);
    ::close(pair.client);
    ::close(pair.listener);
    ::execl("/bin/sh", "sh", "-c", "read word; echo \"<$word>\"", nullptr);
    return 9;
  });
  ::close(pair.server);
  write_all(pair.client, "a line\n");
  say("reply", read_some(pair.client, 8) == "<a line>");
  say("rest", long(read_all(pair.client).size()));
  say("program", ending(pid));
}

void by_popen_and_system() {
  const Pair pair = pair_of();
  const std::string to = std::to_string(pair.server);
  say("system", ::system(("exec >&" + to + "; printf from-system").c_str()));
  say("reply", read_some(pair.client, 11));
  FILE* program = ::popen("cat; exit 5", "w");
  std::fputs("", program);
  say("popen", WEXITSTATUS(::pclose(program)));
  program = ::popen("printf word", "r");
  char room[8] = {};
  say("popen", long(std::fread(room, 1, 8, program)));
  say("pclose", ::pclose(program));
  say("talk", talk(pair.client, pair.server));
}

void in_a_new_root() {
  char folder[] = "/tmp/suite-XXXXXX";
  if (::geteuid() != 0) {
    say("root", "no");
    return;
  }
  if (::mkdtemp(folder) == nullptr) {
    give_up("mkdtemp");
  }
  const int fd = listener();
  const pid_t pid = child([&] {
    if (::chroot(folder) != 0 || ::chdir("/") != 0 || ::setgid(65534) != 0 ||
        ::setuid(65534) != 0) {
      return 3;
    }
    serve_listener(fd);
    ::close(fd);
    // Without privileges and files a new listener is as good.
    const int own = listener(1);
    serve_listener(own);
    return 0;
  });
  ::close(fd);
  const int client = connected();
  say("reply", ask(client));
  int again = tcp_socket(AF_INET);
  for (int count = 0; count < 500 && start_connect(again, AF_INET, port(1)) != 0; ++count) {
    ::close(again);
    ::usleep(10'000);
    again = tcp_socket(AF_INET);
  }
  say("reply", ask(again));
  say("child", ending(pid));
  ::rmdir(folder);
}

void close_all_and_go_on() {
  for (const bool by_range : {true, false}) {
    const Pair pair = pair_of();
    const pid_t pid = child([&] {
      if (by_range) {
        ::close_range(3, ~0U, 0);
      } else {
        ::closefrom(3);
      }
      char byte = 0;
      if (::read(pair.server, &byte, 1) != -1 || errno != EBADF) {
        return 2;
      }
      const Pair fresh = pair_of(1);
      return talk(fresh.client, fresh.server) == "both_ways" ? 0 : 1;
    });
    say("child", ending(pid));
    say("talk", talk(pair.client, pair.server));
    close_pair(pair);
  }
}

void close_range_of_some() {
  const Pair pair = pair_of();
  const int copy = ::dup2(pair.server, 300);
  must(::dup2(pair.server, 302), "dup2");
  say("CLOEXEC", outcome(::close_range(300, 302, CLOSE_RANGE_CLOEXEC)));
  say("FD_CLOEXEC", ::fcntl(copy, F_GETFD));
  say("close_range", outcome(::close_range(300, 302, 0)));
  char byte = 0;
  say("read", outcome(::read(copy, &byte, 1)));
  say("talk", talk(pair.client, pair.server));
  must(::dup2(pair.server, 300), "dup2");
  ::close(pair.server);
  say("closing_the_last", outcome(::close_range(300, 400, 0)));
  say("client", long(read_all(pair.client).size()));
  say("wrong", outcome(::close_range(5, 4, 0)));
}

// A script in between, as programs are started by their wrappers.
void through_a_shell() {
  const Pair pair = pair_of();
  const std::string command =
      "exec '" + own_path() + "' " + kAnotherProgram + " connection " + std::to_string(pair.server);
  const pid_t pid = child([&] {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    return 9;
  });
  ::close(pair.server);
  say("reply", ask(pair.client));
  say("program", ending(pid));
}

}  // namespace

std::span<const Case> program_cases() {
  static constexpr Case kCases[] = {
      {"exec with a connection", exec_with_connection},
      {"exec with a listener", exec_with_listener},
      {"exec without what is FD_CLOEXEC", exec_without},
      {"exec with a new environment", exec_in_a_new_environment},
      {"exec through a shell", through_a_shell},
      {"posix_spawn", spawned},
      {"a connection as standard streams", as_standard_streams},
      {"popen and system", by_popen_and_system},
      {"chroot and setuid", in_a_new_root},
      {"close_range and closefrom in a child", close_all_and_go_on},
      {"close_range of some", close_range_of_some},
  };
  return kCases;
}

}  // namespace suite
