// All descriptors that this process has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace preload {

// Where there is no /proc, in a chroot, numbers beyond this are not looked at.
inline constexpr int kBlindMax = 4096;

// Calls `visit(fd)` for each. Without malloc, for a program may be anywhere; and one after the
// other by number, so that `visit` may open and close descriptors.
template <class Visit>
void for_each_descriptor(Visit visit) {
  const int directory = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    for (int fd = 0; fd < kBlindMax; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0) visit(fd);
    }
    return;
  }
  alignas(dirent64) std::array<char, 4096> buffer{};
  for (;;) {
    const long size = ::getdents64(directory, buffer.data(), buffer.size());
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += entry->d_reclen;
      if (entry->d_name[0] == '.') continue;
      const int fd = static_cast<int>(std::strtol(entry->d_name, nullptr, 10));
      if (fd != directory) visit(fd);
    }
  }
  ::close(directory);
}

}  // namespace preload
