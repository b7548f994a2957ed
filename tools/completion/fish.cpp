// One `complete` for each command, flag and value.

#include "tools/completion/flags.h"

namespace tools {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string value_of(const CompletedFlag& flag) {
  switch (flag.value) {
    case CompletedFlag::Value::kNone:
      return "";
    case CompletedFlag::Value::kFile:
      return " -r -F";
    case CompletedFlag::Value::kChoice:
      return " -x -a " + quoted(joined(flag.choices, " "));
    case CompletedFlag::Value::kOther:
      return " -x";
  }
  return "";
}

}  // namespace

std::string fish_completion(const std::vector<CompletedCommand>& commands) {
  std::string text =
      "# fish completion for ktls-bridge, made by ktls-bridge completion fish\n\n"
      "complete -c ktls-bridge -f\n";
  const std::string begin = "complete -c ktls-bridge -n ";
  for (const CompletedCommand& each : commands) {
    const std::string condition = each.name.empty()
                                      ? "__fish_use_subcommand"
                                      : quoted("__fish_seen_subcommand_from " + each.name);
    if (!each.name.empty()) {
      text += "\n" + begin + "__fish_use_subcommand -a " + each.name + " -d " + quoted(each.text) +
              "\n";
    }
    for (const CompletedFlag& flag : each.flags) {
      text += begin + condition + " -l " + flag.name.substr(2) + value_of(flag) + " -d " +
              quoted(flag.text) + "\n";
    }
    for (const CompletedFlag& positional : each.positionals) {
      if (!positional.choices.empty()) {
        text += begin + condition + " -a " + quoted(joined(positional.choices, " ")) + "\n";
      } else {
        text += begin + condition + " -F\n";
      }
    }
  }
  return text;
}

}  // namespace tools
