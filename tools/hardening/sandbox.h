// Confinement: what a service gives away for good, after it has bound its ports and read its keys
// and before it serves anybody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/common/log.h"
#include "tools/hardening/hardening_flags.h"
#include "tools/ktls-bridge/complaint.h"

namespace tools {

// What the service goes on using, by the names that it was given.
//   reload_files     that SIGHUP reads again; others may be put in their place by then, also by
//                    links to the same directories
//   directories      that are read with all in them
//   link_directories the same, and what the links in them lead to now
//   logs             that SIGHUP opens again
//   socket_files     that are removed at the end
//   connect_ports    of TCP
//   starts_programs  which would inherit the sandbox: so there is none then
struct Needs {
  std::vector<std::string> reload_files;
  std::vector<std::string> directories;
  std::vector<std::string> link_directories;
  std::vector<std::string> logs;
  std::vector<std::string> socket_files;
  std::vector<std::uint16_t> connect_ports;
  bool starts_programs = false;
};

// In this order: the user, so that a directory is judged with the rights that are left; Landlock,
// which holds for this thread and those that it starts, so that there must be no other yet; the
// system calls. Line `sandbox` says what is on, and why what is not; line `unreadable` names what
// SIGHUP will not be able to read. What the kernel does not have is done without, but no user that
// was asked for.
[[nodiscard]] std::optional<Complaint> confine(const HardeningOptions& options, const Needs& needs,
                                               const Log& log);

// What to do about an error of reading a file again, as the rest of a sentence; empty where it is
// not the sandbox that has forbidden it.
[[nodiscard]] std::string advice_on(const ktls::Error& error);

}  // namespace tools
