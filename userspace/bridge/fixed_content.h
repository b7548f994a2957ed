// fixed_by(): whether the content of an open file can change any more, and what keeps it from that.
#pragma once

#include <cstdint>
#include <string_view>

namespace bridge {

// Whether a file's content may change before the peer has acknowledged the last byte of it.
//   kMayChange  it is copied before it is sealed
//   kFixed      its pages may go to a network card as they are: fixed_by() found what fixes it, or
//               the caller knows
enum class Content : std::uint8_t { kMayChange, kFixed };

// What fixes the content of a file.
//   kNothing      nothing that is known to
//   kSeals        F_SEAL_WRITE and F_SEAL_SHRINK (memfd, tmpfs). F_SEAL_FUTURE_WRITE is not enough,
//                 which leaves the mappings writable that there are
//   kVerity       fs-verity: the file system refuses to open it for writing, for good
//   kReadOnly     the whole file system is mounted read-only, from a block device. Holds until an
//                 administrator remounts it, and FixedFiles says so a second longer
enum class FixedBy : std::uint8_t { kNothing, kSeals, kVerity, kReadOnly };

// Never fails: what cannot be found out fixes nothing. Reads /proc/self/mountinfo unless seals or
// fs-verity answer.
[[nodiscard]] FixedBy fixed_by(int fd);

[[nodiscard]] constexpr Content content_of(FixedBy fixed_by) {
  return fixed_by == FixedBy::kNothing ? Content::kMayChange : Content::kFixed;
}

// Whether `mountinfo`, a text as /proc/self/mountinfo has it (proc_pid_mountinfo(5)), says of the
// mount `mount_id` that its file system itself is read-only, is on a block device of this machine,
// and is one that nobody changes behind the kernel's back.
[[nodiscard]] bool is_read_only_mount(std::string_view mountinfo, std::uint64_t mount_id);

}  // namespace bridge
