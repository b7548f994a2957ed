// The command line of a program as a shell sees it: commands, flags, and what their values are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace tools {

struct CompletedFlag {
  enum class Value : std::uint8_t { kNone, kChoice, kFile, kOther };
  std::string name;  // "--listen"; of a positional "DIR"
  std::string text;
  Value value = Value::kNone;
  std::string type;                  // "ADDRESS"
  std::vector<std::string> choices;  // kChoice
  bool is_repeatable = false;
};

struct CompletedCommand {
  std::string name;  // empty: what stands before a command
  std::string text;
  std::vector<CompletedFlag> flags;
  std::vector<CompletedFlag> positionals;
};

// The first one is the program itself.
[[nodiscard]] std::vector<CompletedCommand> commands_of(const CLI::App& app);

[[nodiscard]] std::string joined(const std::vector<std::string>& words, std::string_view between);

// Each makes the script of one shell.
[[nodiscard]] std::string bash_completion(const std::vector<CompletedCommand>& commands);
[[nodiscard]] std::string fish_completion(const std::vector<CompletedCommand>& commands);
[[nodiscard]] std::string zsh_completion(const std::vector<CompletedCommand>& commands);

}  // namespace tools
