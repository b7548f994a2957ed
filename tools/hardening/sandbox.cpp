// Becoming another user, Landlock and seccomp, and the lines that say so.

#include "tools/hardening/sandbox.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tools/hardening/core_dump.h"
#include "tools/hardening/identity.h"
#include "tools/hardening/landlock.h"
#include "tools/hardening/sanitizer.h"
#include "tools/hardening/seccomp_filter.h"

namespace tools {
namespace {

namespace fs = std::filesystem;

// Of one directory; those of public authorities are some hundreds.
constexpr std::size_t kLinksMax = 10'000;
// The kernel follows no more (path_resolution(7)).
constexpr int kLinksInARowMax = 40;

constexpr const char* kNoSandbox = "--no-sandbox";
constexpr const char* kPrograms = "the programs would inherit it";
// Whether a file system is mounted for reading alone, and which time of day it is.
constexpr const char* kSystemFiles[] = {"/proc/self/mountinfo", "/etc/localtime",
                                        "/usr/share/zoneinfo"};

std::string parent_of(const fs::path& path) {
  const fs::path parent = path.parent_path();
  return parent.empty() ? "." : parent.string();
}

// Where the file's name is, where each link is that leads on, and where the file is itself: a new
// one may be put in any of these places.
void add_places_of(const std::string& file, std::vector<std::string>& places) {
  fs::path at = file;
  for (int links = 0; links <= kLinksInARowMax; ++links) {
    places.push_back(parent_of(at));
    std::error_code error;
    const fs::path target = fs::read_symlink(at, error);
    if (error) return;
    at = at.parent_path() / target;  // which is `target` if that is absolute
  }
}

// A trust store is a directory of links, most of them to files of one or two others.
void add_link_targets(const std::string& directory, std::vector<std::string>& places) {
  std::set<std::string> found;
  std::error_code error;
  std::size_t left = kLinksMax;
  for (fs::directory_iterator each(directory, error), end; !error && each != end && left != 0;
       each.increment(error), --left) {
    std::error_code unreadable;
    const fs::path real = fs::canonical(each->path(), unreadable);
    if (!unreadable && each->is_symlink(unreadable)) found.insert(parent_of(real));
  }
  places.insert(places.end(), found.begin(), found.end());
}

FileRules rules_of(const HardeningOptions& options, const Needs& needs) {
  FileRules rules{.read_below = options.sandbox_reads,
                  .append_below = {},
                  .remove_below = {},
                  .connect_ports = needs.connect_ports};
  for (const std::string& each : needs.reload_files) add_places_of(each, rules.read_below);
  for (const std::string& each : needs.directories) rules.read_below.push_back(each);
  for (const std::string& each : needs.link_directories) {
    rules.read_below.push_back(each);
    add_link_targets(each, rules.read_below);
  }
  rules.read_below.insert(rules.read_below.end(), std::begin(kSystemFiles), std::end(kSystemFiles));
  for (const std::string& each : needs.logs) add_places_of(each, rules.append_below);
  if (options.core) {
    if (auto directory = core_directory()) rules.append_below.push_back(*std::move(directory));
  }
  for (const std::string& each : needs.socket_files) {
    rules.remove_below.push_back(parent_of(each));
  }
  // Many files of one directory are one rule.
  std::ranges::sort(rules.read_below);
  rules.read_below.erase(std::ranges::unique(rules.read_below).begin(), rules.read_below.end());
  return rules;
}

// What keeps all of it from being used; null: nothing does.
const char* hindrance(const HardeningOptions& options, const Needs& needs) {
  if (!options.has_sandbox) return kNoSandbox;
  if (needs.starts_programs) return kPrograms;
  return sanitizer_hindrance();
}

// Also in a container, whose own filter may forbid to ask.
std::string reason_of_none(int sys_errno) {
  if (sys_errno == EOPNOTSUPP) return "the kernel was booted without it (lsm=)";
  if (sys_errno == ENOSYS) return "the kernel has none (CONFIG_SECURITY_LANDLOCK)";
  return std::strerror(sys_errno);  // NOLINT(concurrency-mt-unsafe)
}

void add_landlock(const HardeningOptions& options, const Needs& needs, LogFields& fields) {
  const int version = landlock_version();
  if (version == 0) {
    fields.emplace_back("landlock", false);
    fields.emplace_back("landlock_reason", reason_of_none(errno));
    return;
  }
  const auto restricted = restrict_files(rules_of(options, needs), version);
  fields.emplace_back("landlock", restricted.has_value());
  if (restricted) {
    fields.emplace_back("landlock_version", static_cast<std::uint64_t>(version));
  } else {
    fields.emplace_back("landlock_reason", restricted.error().message());
  }
}

void add_seccomp(LogFields& fields) {
  const auto installed = install_seccomp_filter();
  fields.emplace_back("seccomp", installed.has_value());
  if (!installed) fields.emplace_back("seccomp_reason", installed.error().message());
}

void warn_of_unreadable(const HardeningOptions& options, const Needs& needs, const Log& log) {
  const std::set<std::string> files(needs.reload_files.begin(), needs.reload_files.end());
  for (const std::string& file : files) {
    if (::faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS) == 0) continue;
    log.write(LogLevel::kWarning, "unreadable",
              {{"file", file},
               {"error", std::string(std::strerror(errno))},  // NOLINT(concurrency-mt-unsafe)
               {"hint", "SIGHUP cannot read it again as user " + options.user}});
  }
}

std::optional<Complaint> change_user(const HardeningOptions& options) {
  if (options.user.empty()) return std::nullopt;
  const auto identity = find_identity(options.user, options.group);
  if (!identity) return Complaint{kExitUsage, identity.error().message()};
  const auto became = become(*identity);
  // The kernel has changed that even where one of several steps has failed.
  keep_core_dumps_as_they_were();
  if (became) return std::nullopt;
  return Complaint{kExitOsError, "--user " + options.user + ": " + became.error().message()};
}

}  // namespace

std::optional<Complaint> confine(const HardeningOptions& options, const Needs& needs,
                                 const Log& log) {
  if (auto failed = change_user(options)) return failed;
  LogFields fields;
  if (const char* const why = hindrance(options, needs)) {
    for (const char* const each : {"landlock", "seccomp"}) fields.emplace_back(each, false);
    fields.emplace_back("reason", std::string(why));
  } else {
    add_landlock(options, needs, fields);
    add_seccomp(fields);
  }
  if (!options.user.empty()) {
    fields.emplace_back("uid", std::uint64_t{::geteuid()});
    fields.emplace_back("gid", std::uint64_t{::getegid()});
  }
  fields.emplace_back("core", options.core);
  log.write(LogLevel::kInfo, "sandbox", fields);
  if (!options.user.empty()) warn_of_unreadable(options, needs, log);
  return std::nullopt;
}

std::string advice_on(const ktls::Error& error) {
  if (error.sys_errno != EACCES || !are_files_restricted()) return {};
  return "; if a link leads there, name the place by --sandbox-read";
}

}  // namespace tools
