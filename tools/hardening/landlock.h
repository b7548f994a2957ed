// Landlock: what this process can still do with files and with TCP, by the kernel's word.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ktls/base/result.h"

namespace tools {

// All that is allowed. Nothing is executed, created, written or removed besides, no TCP port is
// listened on, and no process outside gets a signal. Paths that are not there are passed over.
//   read_below    directories with all in them, or single files
//   append_below  directories in which logs are opened again
//   remove_below  directories from which socket files are removed
//   connect_ports of TCP
struct FileRules {
  std::vector<std::string> read_below;
  std::vector<std::string> append_below;
  std::vector<std::string> remove_below;
  std::vector<std::uint16_t> connect_ports;
};

// Of this kernel: 0 where it has none, and errno says why.
[[nodiscard]] int landlock_version();

// For the calling thread and those that it starts from here on, for good. Sets no_new_privs. Older
// versions know fewer kinds of access, and those that they do not know stay allowed. Error:
// kSystem.
[[nodiscard]] ktls::Result<void> restrict_files(const FileRules& rules, int version);
// Whether this process has done so.
[[nodiscard]] bool are_files_restricted();

}  // namespace tools
