// What is found in a program's file, and what that means.

#include "tools/ktls-bridge/program_inspection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/elf_file.h"
#include "tools/ktls-bridge/program.h"

namespace tools {
namespace {

using ktls::UniqueFd;

// As many as the kernel follows (fs/exec.c, exec_binprm).
constexpr int kScriptsMax = 5;
// What the kernel reads of a script's first line: BINPRM_BUF_SIZE.
constexpr std::size_t kFirstLineMax = 256;

std::string whole_path(const std::string& path) {
  std::array<char, PATH_MAX> whole{};
  return ::realpath(path.c_str(), whole.data()) != nullptr ? whole.data() : path;
}

// Of the program that is running, which has the C library that the preloaded one is linked with.
std::string our_interpreter() {
  const UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  return self ? ElfFile(self.get()).interpreter() : std::string();
}

// What the first line of a script names, or nothing: "#!INTERPRETER [ARGUMENT]".
struct Script {
  std::string interpreter;
  std::string argument;
};
std::optional<Script> script_of(int fd) {
  std::array<char, kFirstLineMax> start{};
  const ssize_t size = ::pread(fd, start.data(), start.size(), 0);
  if (size < 2) return std::nullopt;
  std::string_view line(start.data(), static_cast<std::size_t>(size));
  if (!line.starts_with("#!")) return std::nullopt;
  line = line.substr(2, line.substr(2).find('\n'));
  const auto trim = [](std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return std::string_view();
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
  };
  line = trim(line);
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  return Script{.interpreter = std::string(line.substr(0, end)),
                .argument = std::string(trim(line.substr(end)))};
}

// env(1) executes another program, which is the interpreter in truth; empty: it cannot be told.
std::string program_of_env(std::string_view argument) {
  if (argument.starts_with("-S")) {
    argument.remove_prefix(std::min(argument.find_first_not_of(" \t", 2), argument.size()));
  }
  const std::string word(argument.substr(0, argument.find_first_of(" \t")));
  if (word.empty() || word.front() == '-' || word.find('=') != std::string::npos) return {};
  const auto found = find_program(word);
  return found ? *found : std::string();
}

// Whether the kernel gives it rights that we have not, for which ld.so(8) reads no LD_PRELOAD.
std::string privilege_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return {};
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid()) return "is setuid";
  constexpr mode_t kSetgid = S_ISGID | S_IXGRP;
  if ((status.st_mode & kSetgid) == kSetgid && status.st_gid != ::getgid()) return "is setgid";
  const bool has_capabilities = ::fgetxattr(fd, "security.capability", nullptr, 0) > 0;
  return has_capabilities && ::getuid() != 0 ? "has file capabilities" : "";
}

std::string io_uring_of(const ElfFile& file) {
  for (const std::string& each : file.libraries()) {
    if (each.starts_with("liburing.so")) return each;
  }
  for (const std::string& each : file.imports()) {
    if (each.starts_with("io_uring_")) return each;
  }
  return {};
}

std::optional<UnfitProgram> judge(const std::string& path, int fd, const ElfFile& file) {
  const auto unfit = [&](Unfit why, std::string detail) {
    return UnfitProgram{.why = why, .subject = path, .detail = std::move(detail)};
  };
  if (file.kind() == ElfFile::Kind::kNone) return std::nullopt;
  if (file.kind() == ElfFile::Kind::kForeign) return unfit(Unfit::kOtherMachine, "");
  if (file.has_section(".go.buildinfo") || file.has_section(".note.go.buildid")) {
    return unfit(Unfit::kGo, "");
  }
  const std::string interpreter = file.interpreter();
  if (interpreter.empty()) return unfit(Unfit::kStatic, "");
  const std::string ours = our_interpreter();
  if (!ours.empty() && whole_path(interpreter) != whole_path(ours)) {
    return unfit(Unfit::kOtherLibc, interpreter);
  }
  if (std::string privilege = privilege_of(fd); !privilege.empty()) {
    return unfit(Unfit::kPrivileged, std::move(privilege));
  }
  if (std::string found = io_uring_of(file); !found.empty()) {
    return unfit(Unfit::kIoUring, std::move(found));
  }
  return std::nullopt;
}

std::string sentence_of(const UnfitProgram& unfit) {
  switch (unfit.why) {
    case Unfit::kStatic:
      return "is statically linked, so no library can be loaded into it";
    case Unfit::kGo:
      return "is a Go program, whose runtime calls the kernel without the C library";
    case Unfit::kOtherLibc:
      return "has another C library than ktls-bridge (its loader is " + unfit.detail + ")";
    case Unfit::kOtherMachine:
      return "is for another kind of machine than ktls-bridge";
    case Unfit::kPrivileged:
      return unfit.detail + ", so the system loads no library of its caller's into it";
    case Unfit::kIoUring:
      return "uses io_uring (" + unfit.detail + "), which reads and writes past the C library";
    case Unfit::kSeccomp:
      return "would inherit a seccomp filter that forbids " + unfit.detail;
    case Unfit::kScripts:
      return "is a script whose interpreter is a script, and so on without an end";
  }
  return {};
}

}  // namespace

std::optional<UnfitProgram> inspect_program(const std::string& path) {
  std::string subject = path;
  for (int scripts = 0; scripts <= kScriptsMax; ++scripts) {
    const UniqueFd fd(::open(subject.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    const auto script = script_of(fd.get());
    if (!script) return judge(subject, fd.get(), ElfFile(fd.get()));
    const bool is_env = script->interpreter.ends_with("/env");
    const std::string behind = is_env ? program_of_env(script->argument) : std::string();
    subject = behind.empty() ? script->interpreter : behind;
  }
  return UnfitProgram{.why = Unfit::kScripts, .subject = path, .detail = {}};
}

std::string text_of(const std::string& program, const UnfitProgram& unfit) {
  std::string text = program;
  if (!unfit.subject.empty() && unfit.subject != program) text += ": " + unfit.subject;
  text += " " + sentence_of(unfit);
  return text + "; put `ktls-bridge wrap` in front of it, or have `ktls-bridge wrap --exec` run it";
}

}  // namespace tools
