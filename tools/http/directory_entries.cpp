// Reading of directories: a name is listed if opening it could succeed.

#include "tools/http/directory_entries.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "tools/http/field_value.h"

namespace http {
namespace {

using ktls::Error;

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

// A link needs the root's policy, anything else one system call.
std::optional<struct stat> status_of(const DocumentRoot& root, int directory_fd,
                                     const std::string& path, const char* name) {
  struct stat status {};
  if (::fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (S_ISLNK(status.st_mode)) return root.status(path + name);
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::nullopt;
  return status;
}

bool is_special(unsigned char type) {
  return type == DT_FIFO || type == DT_SOCK || type == DT_CHR || type == DT_BLK;
}

// As people look for names: whether a letter is a capital matters last.
bool precedes(const DirectoryEntry& left, const DirectoryEntry& right) {
  if (left.is_directory != right.is_directory) return left.is_directory;
  const auto [in_left, in_right] =
      std::mismatch(left.name.begin(), left.name.end(), right.name.begin(), right.name.end(),
                    [](char a, char b) { return lower_case(a) == lower_case(b); });
  if (in_left == left.name.end() && in_right == right.name.end()) return left.name < right.name;
  if (in_left == left.name.end() || in_right == right.name.end()) {
    return in_left == left.name.end();
  }
  return static_cast<unsigned char>(lower_case(*in_left)) <
         static_cast<unsigned char>(lower_case(*in_right));
}

}  // namespace

ktls::Result<DirectoryEntries> read_directory(const DocumentRoot& root, OpenDirectory directory,
                                              std::size_t entries_max) {
  const std::string& path = directory.path;
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(directory.fd.get()));
  if (!stream) return ktls::fail(Error::system(errno, fmt::format("fdopendir of {}", path)));
  const int fd = directory.fd.release();  // the stream owns it now

  DirectoryEntries found;
  for (std::size_t names = 0; names < kNamesReadMax; ++names) {
    errno = 0;
    const dirent* const next = ::readdir(stream.get());
    if (next == nullptr) {
      if (errno != 0) return ktls::fail(Error::system(errno, fmt::format("readdir of {}", path)));
      std::sort(found.entries.begin(), found.entries.end(), precedes);
      return found;
    }
    const char* const name = next->d_name;
    if (!is_served(path + name, root.policy()) || is_special(next->d_type)) continue;
    if (found.entries.size() >= entries_max) {
      ++found.more;
    } else if (const auto status = status_of(root, fd, path, name)) {
      found.entries.push_back({name, S_ISDIR(status->st_mode),
                               static_cast<std::uint64_t>(status->st_size), status->st_mtime});
    }
  }
  found.more_at_least = true;
  std::sort(found.entries.begin(), found.entries.end(), precedes);
  return found;
}

}  // namespace http
