// OpenFile: a regular file that is open to be served, and which version of it that is.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

#include <sys/stat.h>

#include "ktls/base/unique_fd.h"

namespace http {

[[nodiscard]] timespec now_realtime();

// What tells two contents of a file apart without reading them.
struct FileVersion {
  std::uint64_t size = 0;
  timespec modified{};  // mtime: what the writer says, and may set to anything
  timespec changed{};   // ctime: what the kernel says, set by every write, rename and utimensat
  std::uint64_t inode = 0;
  std::uint64_t device = 0;

  [[nodiscard]] static FileVersion of(const struct stat& status);
  [[nodiscard]] bool operator==(const FileVersion& other) const;

  // The ETag field's value: "size-mtime-ctime" in hexadecimal, quoted.
  //
  // Strong (RFC 9110 section 8.8.1) promises other bytes another tag. mtime cannot promise that:
  // cp -p, rsync, tar and reproducible builds give several contents one mtime. ctime can, because
  // nobody sets it. Neither tells two writes apart that one tick of the file system's clock saw:
  // a file that was touched so recently that such a write may yet come has a weak tag, whose
  // characters differ too, so that it never validates what the file became afterwards. The inode
  // is left out: ctime says as much, and a tag should not publish inode numbers. A writer through
  // a shared mapping, and a clock that is set back, stay unseen.
  [[nodiscard]] std::string entity_tag(const timespec& now) const;

  // Whether a write that comes from now on changes one of the two stamps, and whether neither
  // changes by the mere passing of time.
  [[nodiscard]] bool is_settled(const timespec& now) const;

  // Last-Modified in seconds since the epoch. Never after `now`: an origin's clock may not promise
  // the future (RFC 9110 section 8.8.2.1).
  [[nodiscard]] std::time_t last_modified(const timespec& now) const;
};

struct OpenFile {
  ktls::UniqueFd fd;  // for reading
  FileVersion version;
  std::string path;  // below the root, with the name of the index file if it is one

  // Whether size, mtime or ctime are no longer those of `version`, by one fstat. A file that
  // cannot be looked at any more has changed: nobody can vouch for it.
  [[nodiscard]] bool changed() const;
};

}  // namespace http
