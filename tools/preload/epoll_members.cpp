#include "tools/preload/epoll_members.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "tools/preload/filters.h"

namespace preload {
namespace {

// Takes `name`, blanks and a number off the front of `line`.
template <class Number>
bool take(std::string_view& line, std::string_view name, int base, Number& number) {
  if (!line.starts_with(name)) return false;
  line.remove_prefix(name.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number, base);
  if (error != std::errc{}) return false;
  line.remove_prefix(static_cast<std::size_t>(end - line.data()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return true;
}

ktls::UniqueFd open_fdinfo(int fd) {
  constexpr std::string_view kFolder = "/proc/self/fdinfo/";
  std::array<char, 64> path{};
  char* const number = std::copy(kFolder.begin(), kFolder.end(), path.data());
  std::to_chars(number, path.data() + path.size() - 1, fd);
  return ktls::UniqueFd(::open(path.data(), O_RDONLY | O_CLOEXEC));
}

// Calls `visit(line)` for each line of a file. The kernel's lines are much shorter than the room.
template <class Visit>
void for_each_line(int file, Visit visit) {
  std::array<char, 4096> room{};
  std::size_t size = 0;
  for (;;) {
    const ssize_t got = ::read(file, room.data() + size, room.size() - size);
    if (got <= 0) return;
    size += static_cast<std::size_t>(got);
    std::string_view left(room.data(), size);
    for (auto end = left.find('\n'); end != std::string_view::npos; end = left.find('\n')) {
      visit(left.substr(0, end));
      left.remove_prefix(end + 1);
    }
    std::memmove(room.data(), left.data(), left.size());
    size = left.size();
  }
}

}  // namespace

bool parse_member(std::string_view line, EpollMember& member) {
  constexpr int kDecimal = 10;
  constexpr int kHexadecimal = 16;
  return take(line, "tfd:", kDecimal, member.fd) &&
         take(line, "events:", kHexadecimal, member.events) &&
         take(line, "data:", kHexadecimal, member.data);
}

bool has_fired(int set, int fd, std::uint64_t data) {
  if (is_filtered()) return false;
  const ktls::UniqueFd file = open_fdinfo(set);
  if (!file) return false;
  // A file that has been closed here, and is open elsewhere, may be there with the same number.
  bool is_there = false;
  bool is_armed = false;
  for_each_line(file.get(), [&](std::string_view line) {
    EpollMember member;
    if (!parse_member(line, member) || member.fd != fd || member.data != data) return;
    is_there = true;
    is_armed = is_armed || (member.events & ~kKeptWhenFired) != 0;
  });
  return is_there && !is_armed;
}

}  // namespace preload
