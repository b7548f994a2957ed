// HardeningOptions: the flags of what a process gives away once it has begun.
#pragma once

#include <string>
#include <vector>

#include "ktls/base/result.h"

namespace CLI {
class App;
}

namespace tools {

struct HardeningOptions {
  std::string user;   // empty: the one that it was started as
  std::string group;  // empty: that of `user`
  bool has_sandbox = true;
  std::vector<std::string> sandbox_reads;  // paths that it can read, too
  bool core = false;
};

// Each adds flags to `app`; `options` is borrowed until the command line is parsed.
void add_core_flag(CLI::App& app, HardeningOptions& options);  // --core
// --user --group --no-sandbox --sandbox-read --core
void add_hardening_flags(CLI::App& app, HardeningOptions& options);

// That user, group and what else can be read are there. Error: kInvalidArgument naming the flag.
[[nodiscard]] ktls::Result<void> validate(const HardeningOptions& options);

}  // namespace tools
