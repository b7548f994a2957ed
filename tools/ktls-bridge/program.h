// Program: another program that is run with descriptors of ours, and how it ended.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace tools {

// As the shell says it: the exit status, or 128 and the number of the signal that killed it.
struct ProgramEnd {
  int status = 0;
  int signal = 0;  // 0: it was not killed

  [[nodiscard]] int exit_code() const { return signal != 0 ? 128 + signal : status; }
};

// What a program is started with.
//   path         as find_program() answers it
//   arguments    the name under which it was asked for first
//   environment  "NAME=VALUE", all of it
//   descriptors  of ours, and the numbers that they have there; it has no others of ours but 2
struct Launch {
  std::string path;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::pair<int, int>> descriptors;
};

// In PATH, unless the name has a slash. Error: kSystem, ENOENT or EACCES, naming the program.
[[nodiscard]] ktls::Result<std::string> find_program(const std::string& name);

// A child of this process, in a process group of its own, so that its children can be told from
// others and a terminal's signals reach us alone. It has the signals and the limits that this
// program was started with.
class Program {
 public:
  // To be called before anything changes the limits (setrlimit(2)) that programs are to have.
  static void remember_limits();

  // Error: kSystem naming the program; nothing runs then.
  [[nodiscard]] static ktls::Result<Program> start(const Launch& launch);

  [[nodiscard]] pid_t group() const { return pid_; }
  // Readable once it has ended.
  [[nodiscard]] int fd() const { return process_.get(); }
  // Once it has ended, and only once. Error: kSystem.
  [[nodiscard]] ktls::Result<ProgramEnd> reap();
  // To the whole group.
  void signal(int number) const;

 private:
  Program(pid_t pid, ktls::UniqueFd process) : pid_(pid), process_(std::move(process)) {}

  pid_t pid_;
  ktls::UniqueFd process_;  // a pidfd
};

}  // namespace tools
