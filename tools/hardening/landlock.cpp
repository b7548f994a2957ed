// landlock(7) by its system calls: there is no library of it in any distribution.

#include "tools/hardening/landlock.h"

#include <array>
#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

// The headers that this is compiled with may be older than the kernel that it runs on.
struct RulesetAttributes {
  std::uint64_t files;
  std::uint64_t network;  // version 4
  std::uint64_t scoped;   // version 6
};
struct PortAttributes {
  std::uint64_t access;
  std::uint64_t port;
};
constexpr int kRulePort = 2;
constexpr std::uint64_t kRefer = 1ULL << 13U;
constexpr std::uint64_t kTruncate = 1ULL << 14U;
constexpr std::uint64_t kIoctlDevice = 1ULL << 15U;
constexpr std::uint64_t kBindTcp = 1ULL << 0U;
constexpr std::uint64_t kConnectTcp = 1ULL << 1U;
// Not that of abstract unix sockets: a service manager may be told by one of those.
constexpr std::uint64_t kScopeSignal = 1ULL << 1U;

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kAppend = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr std::uint64_t kRemove = LANDLOCK_ACCESS_FS_REMOVE_FILE;
constexpr std::uint64_t kOfFilesAlone =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kFirstVersion =
    kRemove | kAppend | kRead | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

// What a version is the first to know.
struct Addition {
  int version;
  std::uint64_t files;
  std::uint64_t network;
  std::uint64_t scoped;
};
constexpr std::array<Addition, 6> kAdditions = {{{1, kFirstVersion, 0, 0},
                                                 {2, kRefer, 0, 0},
                                                 {3, kTruncate, 0, 0},
                                                 {4, 0, kBindTcp | kConnectTcp, 0},
                                                 {5, kIoctlDevice, 0, 0},
                                                 {6, 0, 0, kScopeSignal}}};

RulesetAttributes known_to(int version) {
  RulesetAttributes known{};
  for (const Addition& each : kAdditions) {
    if (each.version > version) continue;
    known.files |= each.files;
    known.network |= each.network;
    known.scoped |= each.scoped;
  }
  return known;
}

std::atomic<bool>& restricted() {
  static std::atomic<bool> is_restricted{false};
  return is_restricted;
}

// A kernel takes a longer struct than its own where what it does not know is zero.
UniqueFd make_ruleset(const RulesetAttributes& handled) {
  return UniqueFd(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, std::uint32_t{0})));
}

bool is_in_proc(const std::string& path) {
  return path.starts_with("/proc/");
}

Result<void> allow(int ruleset, const std::string& path, std::uint64_t access) {
  UniqueFd place(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!place || ::fstat(place.get(), &status) != 0) return {};
  if (!S_ISDIR(status.st_mode)) access &= kOfFilesAlone;
  const landlock_path_beneath_attr rule{.allowed_access = access, .parent_fd = place.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0) {
    return ktls::fail(Error::system(errno, "landlock_add_rule " + path));
  }
  // A rule is about an inode. The kernel makes those of /proc anew unless somebody has them open.
  if (is_in_proc(path)) static_cast<void>(place.release());
  return {};
}

Result<void> allow_all(int ruleset, const std::vector<std::string>& paths, std::uint64_t access) {
  for (const std::string& path : paths) {
    if (auto allowed = allow(ruleset, path, access); !allowed) return allowed;
  }
  return {};
}

Result<void> allow_ports(int ruleset, const std::vector<std::uint16_t>& ports) {
  for (const std::uint16_t port : ports) {
    const PortAttributes rule{.access = kConnectTcp, .port = port};
    if (::syscall(SYS_landlock_add_rule, ruleset, kRulePort, &rule, 0U) != 0) {
      return ktls::fail(Error::system(errno, "landlock_add_rule for a port"));
    }
  }
  return {};
}

}  // namespace

int landlock_version() {
  const long version =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

Result<void> restrict_files(const FileRules& rules, int version) {
  const RulesetAttributes handled = known_to(version);
  const UniqueFd ruleset = make_ruleset(handled);
  if (!ruleset) return ktls::fail(Error::system(errno, "landlock_create_ruleset"));
  if (auto added = allow_all(ruleset.get(), rules.read_below, kRead); !added) return added;
  if (auto added = allow_all(ruleset.get(), rules.append_below, kAppend); !added) return added;
  if (auto added = allow_all(ruleset.get(), rules.remove_below, kRemove); !added) return added;
  if (handled.network != 0) {
    if (auto added = allow_ports(ruleset.get(), rules.connect_ports); !added) return added;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ktls::fail(Error::system(errno, "prctl(PR_SET_NO_NEW_PRIVS)"));
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0U) != 0) {
    return ktls::fail(Error::system(errno, "landlock_restrict_self"));
  }
  restricted() = true;
  return {};
}

bool are_files_restricted() {
  return restricted();
}

}  // namespace tools
