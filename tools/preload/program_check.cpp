#include "tools/preload/program_check.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tools/preload/say.h"
#include "tools/preload/setting.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

// Interpreters may be scripts themselves; the kernel goes five deep (fs/exec.c).
constexpr int kScriptsMax = 5;
constexpr std::size_t kHeadersMax = 64;

using Path = std::array<char, PATH_MAX>;
using ProgramHeader = ElfW(Phdr);

template <class Object>
bool read_at(int fd, off_t offset, Object& object) {
  return ::pread(fd, &object, sizeof object, offset) == static_cast<ssize_t>(sizeof object);
}

// Note of a Go program: PT_NOTE with the name "Go" (cmd/link/internal/ld/elf.go).
bool is_go_note(int fd, const ProgramHeader& header) {
  struct Note {
    ElfW(Nhdr) header;
    char name[4];
  } note{};
  return header.p_type == PT_NOTE && read_at(fd, static_cast<off_t>(header.p_offset), note) &&
         note.header.n_namesz == sizeof note.name &&
         std::memcmp(note.name, "Go\0", sizeof note.name) == 0;
}

// What keeps the shim out; null: nothing that is known.
const char* obstacle_in_elf(int fd) {
  ElfW(Ehdr) header{};
  if (!read_at(fd, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return nullptr;
  bool has_interpreter = false;
  for (std::size_t i = 0; i < header.e_phnum && i < kHeadersMax; ++i) {
    ProgramHeader each{};
    if (!read_at(fd, static_cast<off_t>(header.e_phoff + i * sizeof each), each)) return nullptr;
    if (each.p_type == PT_INTERP) has_interpreter = true;
    if (is_go_note(fd, each)) return "written in Go";
  }
  return has_interpreter ? nullptr : "static";
}

bool has_other_rights(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return false;
  const bool is_other_user = (status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid();
  const bool is_other_group = (status.st_mode & S_ISGID) != 0 && status.st_gid != ::getgid();
  return is_other_user || is_other_group;
}

// The interpreter of a script; false: it is none.
bool find_interpreter(int fd, Path& interpreter) {
  Path line{};
  const ssize_t size = ::pread(fd, line.data(), line.size() - 1, 0);
  if (size < 3 || line[0] != '#' || line[1] != '!') return false;
  std::string_view text(line.data() + 2, static_cast<std::size_t>(size) - 2);
  text = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  text = text.substr(0, text.find_first_of(" \t"));
  interpreter = {};
  text.copy(interpreter.data(), interpreter.size() - 1);
  return !text.empty();
}

const char* obstacle_of(const char* path) {
  Path current{};
  if (std::strlen(path) >= current.size()) return nullptr;
  std::strcpy(current.data(), path);
  for (int i = 0; i <= kScriptsMax; ++i) {
    const ktls::UniqueFd fd(::open(current.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return nullptr;
    if (has_other_rights(fd.get())) return "run with the rights of another user";
    if (!find_interpreter(fd.get(), current)) return obstacle_in_elf(fd.get());
  }
  return nullptr;
}

}  // namespace

void warn_of_program(const char* path) {
  if (path == nullptr || (!wraps_any_port() && !wraps_any_peer())) return;
  const ErrnoKept kept;
  const char* const obstacle = obstacle_of(path);
  if (obstacle == nullptr) return;
  say({path, " is ", obstacle, ": the library cannot be in it, and its connections are not TLS"});
}

void warn_of_file(const char* file) {
  if (file == nullptr || (!wraps_any_port() && !wraps_any_peer())) return;
  if (std::strchr(file, '/') != nullptr) {
    warn_of_program(file);
    return;
  }
  const ErrnoKept kept;
  const char* const variable = std::getenv("PATH");
  std::string_view folders = variable != nullptr ? variable : "/bin:/usr/bin";
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::string_view folder = folders.substr(0, end);
    folders.remove_prefix(std::min(end + 1, folders.size()));
    Path path{};
    if (folder.size() + std::strlen(file) + 2 > path.size()) continue;
    char* to = path.data() + folder.copy(path.data(), path.size());
    if (!folder.empty()) *to++ = '/';
    std::strcpy(to, file);
    if (::access(path.data(), X_OK) != 0) continue;
    warn_of_program(path.data());
    return;
  }
}

}  // namespace preload
