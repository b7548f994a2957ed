// Inspection: whether the library of `run` can be loaded into a program and does any good there, by
// what stands in its file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tools {

// Why a program cannot be run.
enum class Unfit : std::uint8_t {
  kStatic,        // no library can be loaded into it
  kGo,            // its runtime calls the kernel by itself
  kOtherLibc,     // its loader is not that of our C library
  kOtherMachine,  // nor is its machine ours
  kPrivileged,    // setuid, setgid or capabilities: its loader takes nothing from who starts it
  kIoUring,       // the kernel reads and writes for it, out of sight
  kSeccomp,       // it would inherit a filter that forbids what the library calls
  kScripts,       // a script of a script, and so on
};

//   subject  the file that it is about: the program itself, or what interprets it; with kSeccomp
//   none detail   what was found
struct UnfitProgram {
  Unfit why;
  std::string subject;
  std::string detail;
};

// Of the executable file `path`; a script is judged by its interpreter. Nothing: it can be run, or
// execve(2) will say why not.
[[nodiscard]] std::optional<UnfitProgram> inspect_program(const std::string& path);

// kSeccomp where this process, and so what it starts, may not call what the library needs. Forks.
[[nodiscard]] std::optional<UnfitProgram> inspect_seccomp();

// One sentence about `program`: why, and what to do instead.
[[nodiscard]] std::string text_of(const std::string& program, const UnfitProgram& unfit);

}  // namespace tools
