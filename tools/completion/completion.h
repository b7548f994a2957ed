// What makes a shell complete the command line of a program, made from its flags.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace tools {

// `shell`: bash, fish or zsh. Of the values of a flag that lists them, "auto|never", each; of one
// that takes a FILE or PATH, the names of files.
[[nodiscard]] std::string completion_of(const CLI::App& app, const std::string& shell);

}  // namespace tools
