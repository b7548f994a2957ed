// Complaint: why a subcommand cannot begin, with the exit code for it.
#pragma once

#include <string>
#include <string_view>

#include "tools/common/exit_code.h"

namespace tools {

struct Complaint {
  ExitCode code;
  std::string what;
};

// Writes its one line, "ktls-bridge COMMAND: …", to standard error and answers the code.
[[nodiscard]] int complain(std::string_view command, const Complaint& complaint);

}  // namespace tools
