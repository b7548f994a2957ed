// The command line of the program, and what it takes from a configuration.
#pragma once

#include <string>
#include <vector>

namespace tools {

// `words` are those after the program's name. Runs what they ask for, and answers its exit code.
[[nodiscard]] int run_command_line(const std::vector<std::string>& words);

}  // namespace tools
