// The flags of hardening.

#include "tools/hardening/hardening_flags.h"

#include <cerrno>

#include <CLI/CLI.hpp>
#include <sys/stat.h>

#include "tools/hardening/identity.h"

namespace tools {
namespace {

constexpr const char* kGroup = "Hardening";

}  // namespace

void add_core_flag(CLI::App& app, HardeningOptions& options) {
  app.add_flag("--core", options.core,
               "Allow a core dump, in which there is no memory, and with it that processes of this "
               "user trace this one")
      ->group(kGroup);
}

void add_hardening_flags(CLI::App& app, HardeningOptions& options) {
  CLI::Option* const user =
      app.add_option("--user", options.user,
                     "Go on as this user, with no supplementary groups, once ports are bound and "
                     "keys are read; name or number")
          ->type_name("USER")
          ->group(kGroup);
  app.add_option("--group", options.group, "And as this group; default: that of --user")
      ->type_name("GROUP")
      ->needs(user)
      ->group(kGroup);
  CLI::Option* const off =
      app.add_flag_callback(
             "--no-sandbox", [&options] { options.has_sandbox = false; },
             "Use neither seccomp nor Landlock, which otherwise leave this process what serving "
             "takes")
          ->group(kGroup);
  app.add_option("--sandbox-read", options.sandbox_reads,
                 "A file or directory that SIGHUP can read from besides those that were given, "
                 "where their names become links to there; may be repeated")
      ->allow_extra_args(false)
      ->type_name("PATH")
      ->excludes(off)
      ->group(kGroup);
  add_core_flag(app, options);
}

ktls::Result<void> validate(const HardeningOptions& options) {
  for (const std::string& each : options.sandbox_reads) {
    // A rule of Landlock is about what is there: a name that comes later would not be covered.
    struct stat status {};
    if (::stat(each.c_str(), &status) == 0) continue;
    return ktls::fail(
        ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                        "--sandbox-read " + ktls::Error::system(errno, each).message()));
  }
  if (options.user.empty()) return {};
  KTLS_TRY([[maybe_unused]] const Identity identity, find_identity(options.user, options.group));
  return {};
}

}  // namespace tools
