// Opening by openat2: what each errno means for a request.

#include "tools/http/document_root.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace http {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

// openat2 answers EAGAIN when a rename anywhere in the system crossed the walk through a "..", and
// when the holder of a lease has to be told first. Both pass at once or hardly ever.
constexpr int kOpenAttemptsMax = 16;

// Not blocking: a FIFO without a writer, or a serial line, would hold the thread for ever.
constexpr std::uint64_t kReadFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

constexpr std::string_view kWellKnown = ".well-known";

UniqueFd openat2(int directory, const char* path, std::uint64_t flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = flags;
  how.resolve = resolve;
  // glibc has no wrapper before 2.42.
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how)));
}

std::uint64_t resolve_flags(SymlinkPolicy symlinks) {
  constexpr std::uint64_t kBeneath = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return symlinks == SymlinkPolicy::kNever ? kBeneath | RESOLVE_NO_SYMLINKS : kBeneath;
}

// Errors that say something about the path. All others say that the system is short of something,
// and then the file may well be there.
bool means_not_found(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:   // a symbolic link that the policy refuses, or a circle of them
    case EXDEV:   // a path that leaves the root
    case EINVAL:  // a name that this file system cannot hold
    case EILSEQ:
    case ENXIO:  // a socket, or a device without a driver
    case ENODEV:
    case ESTALE:  // deleted on the file server
      return true;
    default:
      return false;
  }
}

bool means_forbidden(int sys_errno) {
  return sys_errno == EACCES || sys_errno == EPERM;
}

Result<Resource> refused(Error error) {
  if (means_not_found(error.sys_errno)) return NotFound{};
  if (means_forbidden(error.sys_errno)) return Forbidden{};
  return ktls::fail(std::move(error));
}

// gzip, zstd and brotli give their output the time of their input, some of them in whole seconds.
bool is_older(const timespec& variant, const timespec& original) {
  if (variant.tv_sec != original.tv_sec) return variant.tv_sec < original.tv_sec;
  return variant.tv_nsec != 0 && variant.tv_nsec < original.tv_nsec;
}

}  // namespace

bool is_served(std::string_view path, const DocumentPolicy& policy) {
  // A NUL would end the path early for the kernel alone.
  if (path.find('\0') != std::string_view::npos) return false;
  if (path.empty()) return true;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name.empty() || name == "." || name == "..") return false;
    const bool well_known = begin == 0 && name == kWellKnown;
    if (name.front() == '.' && !policy.dot_files && !well_known) return false;
    begin = end + 1;
  }
  return true;
}

Result<DocumentRoot> DocumentRoot::open(const std::string& directory, DocumentPolicy policy) {
  UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ktls::fail(Error::system(errno, directory));
  const UniqueFd probe =
      openat2(fd.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC, resolve_flags(policy.symlinks));
  if (!probe) {
    Error error = Error::system(errno, fmt::format("openat2 of {}", directory));
    // A seccomp filter answers either; a kernel before 5.6 answers ENOSYS.
    if (error.sys_errno == ENOSYS || error.sys_errno == EPERM) {
      error.code = ErrorCode::kUnsupported;
      error.detail +=
          ", which needs Linux 5.6 and a seccomp filter that allows it, and without which no "
          "path can be kept below a directory";
    }
    return ktls::fail(std::move(error));
  }
  return DocumentRoot(std::move(fd), std::move(policy));
}

Result<UniqueFd> DocumentRoot::open_beneath(const std::string& path, std::uint64_t flags) const {
  const char* const name = path.empty() ? "." : path.c_str();
  int sys_errno = 0;
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    UniqueFd fd = openat2(directory_.get(), name, flags, resolve_flags(policy_.symlinks));
    if (fd) return fd;
    sys_errno = errno;
    if (sys_errno != EAGAIN && sys_errno != EINTR) break;
  }
  return ktls::fail(Error::system(sys_errno, fmt::format("openat2 of {}", path)));
}

Result<Resource> DocumentRoot::open(std::string_view path) const {
  if (!is_served(path, policy_)) return NotFound{};
  if (!path.empty() && path.back() != '/') return open_allowed(std::string(path));
  const std::string directory(path);
  // The index first: of the requests for a directory, most want its index.
  KTLS_TRY(Resource index, open_index(directory));
  if (!std::holds_alternative<NotFound>(index)) return index;
  auto fd = open_beneath(directory, kReadFlags | O_DIRECTORY);
  if (!fd) return refused(std::move(fd).error());
  return OpenDirectory{*std::move(fd), directory};
}

Result<Resource> DocumentRoot::open_index(const std::string& directory) const {
  for (const std::string& name : policy_.index_names) {
    KTLS_TRY(Resource index, open_allowed(directory + name));
    if (std::holds_alternative<OpenFile>(index) || std::holds_alternative<Forbidden>(index)) {
      return index;
    }
  }
  return NotFound{};
}

Result<Resource> DocumentRoot::open_allowed(std::string path) const {
  auto fd = open_beneath(path, kReadFlags);
  if (!fd) return refused(std::move(fd).error());
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) {
    return refused(Error::system(errno, fmt::format("fstat of {}", path)));
  }
  if (S_ISDIR(status.st_mode)) return SlashMissing{};
  if (!S_ISREG(status.st_mode)) return NotFound{};
  return OpenFile{*std::move(fd), FileVersion::of(status), std::move(path)};
}

Result<std::optional<OpenFile>> DocumentRoot::open_variant(const OpenFile& original,
                                                           Coding coding) const {
  if (coding == Coding::kIdentity) return std::nullopt;
  KTLS_TRY(Resource found, open_allowed(original.path + std::string(coding_suffix(coding))));
  auto* const variant = std::get_if<OpenFile>(&found);
  if (variant == nullptr) return std::nullopt;
  // Somebody edited the file and has not compressed it again: its old content must not live on
  // for those clients alone that accept the coding.
  if (is_older(variant->version.modified, original.version.modified)) return std::nullopt;
  return std::move(*variant);
}

std::optional<FileVersion> DocumentRoot::version_of(const std::string& path) const {
  if (!is_served(path, policy_)) return std::nullopt;
  struct stat status {};
  // One name that is no link cannot leave the directory.
  if (path.find('/') == std::string::npos) {
    constexpr int kFlags = AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW;
    if (::fstatat(directory_.get(), path.c_str(), &status, kFlags) != 0) return std::nullopt;
    if (!S_ISLNK(status.st_mode)) return FileVersion::of(status);
  }
  const auto fd = open_beneath(path, O_PATH | O_CLOEXEC);
  if (!fd || ::fstat(fd->get(), &status) != 0) return std::nullopt;
  return FileVersion::of(status);
}

std::optional<struct stat> DocumentRoot::status(std::string_view path) const {
  if (!is_served(path, policy_)) return std::nullopt;
  const auto fd = open_beneath(std::string(path), O_PATH | O_CLOEXEC);
  struct stat status {};
  if (!fd || ::fstat(fd->get(), &status) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return std::nullopt;
  return status;
}

}  // namespace http
