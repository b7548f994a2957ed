// The program: symbols PORT,PORT,PORT,PORT [NAME...] runs the test of each symbol; --list names
// them. A line without a word after the name is one of which everything was right.
#include "tests/preload/symbols.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

namespace symbols {
namespace {

constexpr std::span<const suite::Case> (*kFiles[])() = {reading,   writing, descriptors, waiting,
                                                        processes, making,  asking};

const char* current = "";

bool wanted(std::span<char* const> names, const char* name) {
  bool found = names.empty();
  for (const char* each : names) {
    found = found || std::strcmp(each, name) == 0;
  }
  return found;
}

void check_whose(const char* name) {
  Dl_info info{};
  void* address = ::dlsym(RTLD_DEFAULT, name);
  const bool ours = address != nullptr && ::dladdr(address, &info) != 0 &&
                    std::strstr(info.dli_fname, "ktls-bridge-preload") != nullptr;
  check("is_the_shim's", ours == wrapped());
}

std::span<const suite::Case> cases_of_current;

void run_current() {
  std::signal(SIGPIPE, SIG_IGN);
  check_whose(current);
  for (const suite::Case& each : cases_of_current) {
    if (std::strcmp(each.name, current) == 0) {
      each.run();
    }
  }
}

bool run_all(std::span<char* const> names) {
  bool well = true;
  for (const auto file : kFiles) {
    cases_of_current = file();
    for (const suite::Case& each : cases_of_current) {
      if (wanted(names, each.name)) {
        set_current(each.name);
        well = suite::run_case({each.name, run_current}) && well;
      }
    }
  }
  return well;
}

}  // namespace

bool wrapped() {
  return std::getenv("KTLS_BRIDGE_LISTEN") != nullptr;
}

void check(std::string_view what, bool right) {
  if (!right) {
    suite::say("WRONG", what);
  }
}

void check_equal(std::string_view what, std::string_view is, std::string_view expected) {
  if (is != expected) {
    suite::say("WRONG", std::string(what) + ":" + std::string(is));
  }
}

void set_current(const char* name) {
  current = name;
}

void* find_current() {
  void* found = ::dlsym(RTLD_DEFAULT, current);
  if (found == nullptr) {
    suite::give_up("dlsym");
  }
  return found;
}

Ends unix_pair() {
  int both[2];
  suite::must(::socketpair(AF_UNIX, SOCK_STREAM, 0, both), "socketpair");
  return {both[0], both[1]};
}

Ends pipe_pair() {
  int both[2];
  suite::must(::pipe(both), "pipe");
  return {both[0], both[1]};
}

void check_served(int client, pid_t program) {
  check("write", suite::write_all(client, "question"));
  check_equal("reply", suite::read_all(client), "[question]");
  check_equal("program", suite::ending(program), "exit_0");
}

}  // namespace symbols

int main(int argc, char** argv) {
  const std::span<char* const> words(argv, size_t(argc));
  if (argc > 1 && std::strcmp(argv[1], suite::kAnotherProgram) == 0) {
    return suite::be_another_program(words.subspan(2));
  }
  if (argc < 2) {
    std::fputs("usage: symbols --list | PORT,PORT,PORT,PORT [NAME...]\n", stderr);
    return 2;
  }
  if (std::strcmp(argv[1], "--list") == 0) {
    for (const auto file : symbols::kFiles) {
      for (const suite::Case& each : file()) {
        std::puts(each.name);
      }
    }
    return 0;
  }
  suite::read_ports(argv[1]);
  return symbols::run_all(words.subspan(2)) ? 0 : 1;
}
