#include "tools/preload/say.h"

#include <algorithm>
#include <array>

#include <sys/stat.h>
#include <unistd.h>

#include "tools/preload/wrapped.h"

namespace preload {

void say(std::initializer_list<std::string_view> parts) {
  const ErrnoKept kept;
  struct stat status {};
  if (::fstat(STDERR_FILENO, &status) != 0 || S_ISSOCK(status.st_mode)) return;
  std::array<char, 512> line{};
  std::size_t size = 0;
  const auto add = [&](std::string_view part) {
    // One place is kept for the end of the line.
    const std::size_t room = line.size() - 1 - size;
    size += part.copy(line.data() + size, std::min(room, part.size()));
  };
  add("ktls-bridge: ");
  for (const std::string_view part : parts) add(part);
  // Names come from elsewhere, and this is a terminal.
  std::replace_if(
      line.begin(), line.begin() + static_cast<std::ptrdiff_t>(size),
      [](char each) { return static_cast<unsigned char>(each) < ' ' || each == '\x7f'; }, '?');
  line[size++] = '\n';
  static_cast<void>(::write(STDERR_FILENO, line.data(), size));
}

}  // namespace preload
