// Program: another program that is run with descriptors of ours, and how it ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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
//   group        of its own: its children can be told from others, and a terminal's signals reach
//   us
//                alone; or ours: it has the terminal as we have it
enum class Group : std::uint8_t { kOwn, kOurs };
struct Launch {
  std::string path;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::pair<int, int>> descriptors;
  Group group = Group::kOwn;
};

// In PATH, unless the name has a slash. Error: kSystem, ENOENT or EACCES, naming the program.
[[nodiscard]] ktls::Result<std::string> find_program(const std::string& name);

// A child of this process. It has the signals and the limits that this program was started with.
class Program {
 public:
  // To be called before anything changes the limits (setrlimit(2)) that programs are to have.
  static void remember_limits();
  // To be called before anything changes the signals that are ignored and blocked. Has SIGCHLD
  // ignored no more in this process: of whom the kernel reaps nothing is known.
  static void remember_signals();
  // Of open files, that programs have: RLIMIT_NOFILE, soft.
  [[nodiscard]] static std::size_t open_files_limit();

  // Error: kSystem naming the program; nothing runs then.
  [[nodiscard]] static ktls::Result<Program> start(const Launch& launch);

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Where it has one of its own.
  [[nodiscard]] pid_t group() const { return pid_; }
  // Readable once it has ended.
  [[nodiscard]] int fd() const { return process_.get(); }
  // Once it has ended, and only once. Error: kSystem.
  [[nodiscard]] ktls::Result<ProgramEnd> reap();
  // Of all children of this process: those whose parents have ended, which are ours where we are
  // the first process of a system or container, and the program too if its turn comes.
  void reap_orphans();
  // To its whole group, or to itself alone where that is ours.
  void signal(int number) const;

 private:
  Program(pid_t pid, Group group, ktls::UniqueFd process)
      : pid_(pid), group_(group), process_(std::move(process)) {}

  pid_t pid_;
  Group group_;
  ktls::UniqueFd process_;                    // a pidfd
  std::optional<int> status_ = std::nullopt;  // of waitpid(2), of one that is reaped already
};

}  // namespace tools
