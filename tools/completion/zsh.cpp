// The function that zsh's completion system finds by its #compdef line.

#include "tools/completion/flags.h"

namespace tools {
namespace {

// Inside single quotes, and inside the brackets or between the colons of _arguments.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string action_of(const CompletedFlag& flag) {
  switch (flag.value) {
    case CompletedFlag::Value::kChoice:
      return "(" + joined(flag.choices, " ") + ")";
    case CompletedFlag::Value::kFile:
      return "_files";
    default:
      return "";
  }
}

std::string specification_of(const CompletedFlag& flag) {
  std::string text = flag.is_repeatable ? "'*" : "'";
  text += flag.name;
  if (flag.value != CompletedFlag::Value::kNone) text += "=";
  text += "[" + escaped(flag.text) + "]";
  if (flag.value != CompletedFlag::Value::kNone) {
    text += ":" + escaped(flag.type) + ":" + action_of(flag);
  }
  return text + "'";
}

std::string specification_of_positional(const CompletedFlag& flag) {
  // Whatever follows "--" is a command line of its own.
  if (flag.is_repeatable) return "'*::" + escaped(flag.name) + ":_normal'";
  return "'1:" + escaped(flag.name) + ":" + action_of(flag) + "'";
}

std::string arguments_of(const CompletedCommand& command, const std::string& indent) {
  std::string text = "_arguments -S";
  for (const CompletedFlag& flag : command.flags) {
    text += " \\\n" + indent + specification_of(flag);
  }
  for (const CompletedFlag& positional : command.positionals) {
    text += " \\\n" + indent + specification_of_positional(positional);
  }
  return text;
}

}  // namespace

std::string zsh_completion(const std::vector<CompletedCommand>& commands) {
  std::string names;
  std::string branches;
  for (const CompletedCommand& each : commands) {
    if (each.name.empty()) continue;
    names += "    '" + each.name + ":" + escaped(each.text) + "'\n";
    branches += "        " + each.name + ")\n          " + arguments_of(each, "            ") +
                "\n          ;;\n";
  }
  std::string text =
      "#compdef ktls-bridge\n"
      "# zsh completion for ktls-bridge, made by ktls-bridge completion zsh\n\n"
      "_ktls-bridge() {\n"
      "  local curcontext=\"$curcontext\" state line\n"
      "  local -a commands=(\n" +
      names + "  )\n  " + "_arguments -C";
  for (const CompletedFlag& flag : commands.front().flags) {
    text += " \\\n    " + specification_of(flag);
  }
  text +=
      " \\\n    '1: :->command' \\\n    '*:: :->arguments'\n"
      "  case $state in\n"
      "    command)\n      _describe command commands\n      ;;\n"
      "    arguments)\n      case $line[1] in\n" +
      branches + "      esac\n      ;;\n  esac\n}\n\n" +
      // Sourced, it registers itself; found in $fpath, it is the function that completes.
      "if [[ $funcstack[1] == _ktls-bridge ]]; then\n  _ktls-bridge \"$@\"\nelse\n"
      "  compdef _ktls-bridge ktls-bridge\nfi\n";
  return text;
}

}  // namespace tools
