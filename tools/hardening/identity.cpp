// setgroups(2), setresgid(2) and setresuid(2), in the order in which each is still allowed.

#include "tools/hardening/identity.h"

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

// -1 means "leave it" to setresuid(2).
constexpr std::uint32_t kNobodyHas = UINT32_MAX;

std::optional<std::uint32_t> number(const std::string& text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end || value == kNobodyHas) return std::nullopt;
  return value;
}

Result<gid_t> find_group(const std::string& text) {
  if (const auto id = number(text)) return *id;
  const group* const entry = ::getgrnam(text.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (entry != nullptr) return entry->gr_gid;
  return ktls::fail(
      Error::of(ErrorCode::kInvalidArgument, "--group: there is no group '" + text + "'"));
}

// Whoever can become root again has given nothing away.
bool can_return(const Identity& identity) {
  if (identity.user == 0) return false;  // who stays root gives nothing away, and was asked to
  return ::setresuid(static_cast<uid_t>(-1), 0, static_cast<uid_t>(-1)) == 0;
}

}  // namespace

Result<Identity> find_identity(const std::string& user, const std::string& group) {
  const auto id = number(user);
  const passwd* const entry =
      id ? ::getpwuid(*id) : ::getpwnam(user.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (!id && entry == nullptr) {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument, "--user: there is no user '" + user + "'"));
  }
  Identity identity{.user = id ? *id : entry->pw_uid, .group = 0};
  if (!group.empty()) {
    KTLS_TRY(identity.group, find_group(group));
  } else if (entry != nullptr) {
    identity.group = entry->pw_gid;
  } else {
    return ktls::fail(
        Error::of(ErrorCode::kInvalidArgument,
                  "--user: user " + user + " has no entry that names a group: give --group"));
  }
  return identity;
}

Result<void> become(const Identity& identity) {
  // glibc changes all threads at once, each of which has its own for the kernel.
  if (::setgroups(0, nullptr) != 0) return ktls::fail(Error::system(errno, "setgroups"));
  if (::setresgid(identity.group, identity.group, identity.group) != 0) {
    return ktls::fail(Error::system(errno, "setresgid"));
  }
  if (::setresuid(identity.user, identity.user, identity.user) != 0) {
    return ktls::fail(Error::system(errno, "setresuid"));
  }
  if (can_return(identity)) {
    return ktls::fail(
        Error::of(ErrorCode::kProtocolViolation, "the process could become root again"));
  }
  return {};
}

}  // namespace tools
