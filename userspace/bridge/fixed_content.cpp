// What the kernel tells of a file by fcntl(F_GET_SEALS), statx() and /proc/self/mountinfo.

#include "userspace/bridge/fixed_content.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "userspace/bridge/fixed_files.h"

namespace bridge {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK;

// Those that have fs-verity themselves. Overlayfs repeats the attribute of a file below it, and
// goes on with another one when somebody writes.
constexpr std::array<std::uint64_t, 3> kVerityMagics{EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC,
                                                     BTRFS_SUPER_MAGIC};

// Those that only this kernel writes to. FUSE (fuseblk), GFS2 and OCFS2 have block devices, too.
constexpr std::array<std::string_view, 10> kLocalTypes = {
    "ext2", "ext3", "ext4", "xfs", "f2fs", "squashfs", "erofs", "iso9660", "udf", "vfat"};

bool is_sealed(int fd) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  return seals >= 0 && (seals & kSeals) == kSeals;
}

bool has_verity(int fd, const struct statx& status) {
  if ((status.stx_attributes & status.stx_attributes_mask & STATX_ATTR_VERITY) == 0) return false;
  struct statfs system {};
  if (::fstatfs(fd, &system) != 0) return false;
  const auto magic = static_cast<std::uint64_t>(system.f_type);
  return std::ranges::find(kVerityMagics, magic) != kVerityMagics.end();
}

bool is_on_read_only_mount(const struct statx& status) {
  if ((status.stx_mask & STATX_MNT_ID) == 0) return false;  // before Linux 5.8
  std::ifstream file("/proc/self/mountinfo");
  const std::string mountinfo(std::istreambuf_iterator<char>(file), {});
  return is_read_only_mount(mountinfo, status.stx_mnt_id);
}

// Nothing where it is no regular file.
std::optional<struct statx> status_of(int fd) {
  struct statx status {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &status) != 0 ||
      !S_ISREG(status.stx_mode)) {
    return std::nullopt;
  }
  return status;
}

// Whatever the mount says.
FixedBy fixed_by_itself(int fd, const struct statx& status) {
  if (is_sealed(fd)) return FixedBy::kSeals;
  return has_verity(fd, status) ? FixedBy::kVerity : FixedBy::kNothing;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_number(std::string_view text, std::uint64_t wanted) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number == wanted;
}

// One line: "36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/root ro,errors=continue". The
// first options are the mount's own, the last ones the file system's; before the "-" stand as many
// fields as there are.
bool is_fixed(const std::vector<std::string_view>& fields) {
  constexpr std::size_t kDevice = 2;
  constexpr std::size_t kOptionalFields = 6;
  constexpr std::size_t kFieldsAfterDash = 3;
  if (fields.size() < kOptionalFields) return false;
  const auto dash = std::find(fields.begin() + kOptionalFields, fields.end(), "-");
  if (fields.end() - dash <= static_cast<std::ptrdiff_t>(kFieldsAfterDash)) return false;
  const std::string_view type = dash[1];
  const auto options = split(dash[kFieldsAfterDash], ',');
  return !fields[kDevice].starts_with("0:") && options.front() == "ro" &&
         std::ranges::find(kLocalTypes, type) != kLocalTypes.end();
}

}  // namespace

bool is_read_only_mount(std::string_view mountinfo, std::uint64_t mount_id) {
  for (const std::string_view line : split(mountinfo, '\n')) {
    const auto fields = split(line, ' ');
    if (is_number(fields.front(), mount_id)) return is_fixed(fields);
  }
  return false;
}

FixedBy fixed_by(int fd) {
  const auto status = status_of(fd);
  if (!status) return FixedBy::kNothing;
  const FixedBy by = fixed_by_itself(fd, *status);
  if (by != FixedBy::kNothing) return by;
  return is_on_read_only_mount(*status) ? FixedBy::kReadOnly : FixedBy::kNothing;
}

FixedBy FixedFiles::of(int fd, Clock::time_point now) {
  const auto status = status_of(fd);
  if (!status) return FixedBy::kNothing;
  const FixedBy by = fixed_by_itself(fd, *status);
  if (by != FixedBy::kNothing) return by;
  const std::uint64_t device = ::makedev(status->stx_dev_major, status->stx_dev_minor);
  const std::pair key(std::uint64_t{status->stx_mnt_id}, device);
  auto mount = mounts_.find(key);
  if (mount == mounts_.end() || now - mount->second.asked >= kMountAge) {
    if (mount == mounts_.end() && mounts_.size() == kMountsMax) mounts_.clear();
    const Mount asked{.is_read_only = is_on_read_only_mount(*status), .asked = now};
    mount = mounts_.insert_or_assign(key, asked).first;
  }
  return mount->second.is_read_only ? FixedBy::kReadOnly : FixedBy::kNothing;
}

}  // namespace bridge
