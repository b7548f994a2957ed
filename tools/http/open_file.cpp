// Versions of files, and the validators that follow from them.

#include "tools/http/open_file.h"

#include <algorithm>
#include <compare>

#include <fmt/format.h>

namespace http {
namespace {

// The coarsest clock of a file system that is still mounted: FAT counts two seconds. ext4, XFS,
// btrfs and tmpfs stamp with the kernel's tick, at most 10 ms.
constexpr std::time_t kTimestampGranularityS = 2;

std::strong_ordering compare(const timespec& left, const timespec& right) {
  if (left.tv_sec != right.tv_sec) return left.tv_sec <=> right.tv_sec;
  return left.tv_nsec <=> right.tv_nsec;
}

bool is_past(const timespec& stamp, const timespec& now) {
  return std::is_lt(compare({stamp.tv_sec + kTimestampGranularityS, stamp.tv_nsec}, now));
}

// Two's complement keeps times before 1970 apart from all others.
std::string stamp_text(const timespec& stamp) {
  return fmt::format("{:x}.{:x}", static_cast<std::uint64_t>(stamp.tv_sec),
                     static_cast<std::uint64_t>(stamp.tv_nsec));
}

}  // namespace

timespec now_realtime() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

FileVersion FileVersion::of(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size), status.st_mtim, status.st_ctim,
          static_cast<std::uint64_t>(status.st_ino), static_cast<std::uint64_t>(status.st_dev)};
}

bool FileVersion::operator==(const FileVersion& other) const {
  return size == other.size && inode == other.inode && device == other.device &&
         std::is_eq(compare(modified, other.modified)) &&
         std::is_eq(compare(changed, other.changed));
}

std::string FileVersion::entity_tag(const timespec& now) const {
  const std::string stamps =
      fmt::format("{:x}-{}-{}", size, stamp_text(modified), stamp_text(changed));
  // mtime need not be looked at: each write that sets it sets ctime, and who sets it by hand
  // sets ctime too.
  return is_past(changed, now) ? fmt::format("\"{}\"", stamps) : fmt::format("W/\"{}-w\"", stamps);
}

bool FileVersion::is_settled(const timespec& now) const {
  return is_past(changed, now) && is_past(modified, now);
}

std::time_t FileVersion::last_modified(const timespec& now) const {
  return std::min(modified.tv_sec, now.tv_sec);
}

bool OpenFile::changed() const {
  struct stat status {};
  return ::fstat(fd.get(), &status) != 0 || FileVersion::of(status) != version;
}

}  // namespace http
