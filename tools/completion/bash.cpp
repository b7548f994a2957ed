// The function that bash calls with the words of the line.

#include <map>

#include "tools/completion/flags.h"

namespace tools {
namespace {

constexpr std::string_view kHead =
    R"(# bash completion for ktls-bridge, made by ktls-bridge completion bash

_ktls_bridge_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_ktls_bridge_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_ktls_bridge() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev='' command='' flags='' words='' files='' i
  ((COMP_CWORD < 1)) || prev=${COMP_WORDS[COMP_CWORD - 1]}
  # --flag=value is three words here.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]] && ((COMP_CWORD > 1)); then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      )";

constexpr std::string_view kAfterCommand = R"()
        command=${COMP_WORDS[i]}
        break
        ;;
    esac
  done
  for ((; i < COMP_CWORD; i++)); do
    [[ ${COMP_WORDS[i]} == -- ]] || continue
    if ((i + 1 == COMP_CWORD)); then
      mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    else
      _ktls_bridge_files "$cur"
    fi
    return
  done
  case $command in
)";

constexpr std::string_view kTail = R"(  esac
  if [[ $cur != -* && -n $words ]]; then
    _ktls_bridge_words "$words" "$cur"
  elif [[ $cur != -* && -n $files ]]; then
    _ktls_bridge_files "$cur"
  else
    _ktls_bridge_words "$flags" "$cur"
  fi
}

complete -F _ktls_bridge ktls-bridge
)";

std::string values_of(const CompletedCommand& command) {
  std::map<std::string, std::vector<std::string>> by_action;
  for (const CompletedFlag& flag : command.flags) {
    if (flag.value == CompletedFlag::Value::kChoice) {
      by_action["_ktls_bridge_words '" + joined(flag.choices, " ") + "' \"$cur\""].push_back(
          flag.name);
    } else if (flag.value == CompletedFlag::Value::kFile) {
      by_action["_ktls_bridge_files \"$cur\""].push_back(flag.name);
    } else if (flag.value == CompletedFlag::Value::kOther) {
      by_action[":"].push_back(flag.name);
    }
  }
  if (by_action.empty()) return "";
  std::string text = "      case $prev in\n";
  for (const auto& [action, flags] : by_action) {
    text += "        " + joined(flags, " | ") + ")\n          " + action +
            "\n          return\n          ;;\n";
  }
  return text + "      esac\n";
}

std::string branch_of(const CompletedCommand& command, const std::string& words, bool has_files) {
  std::vector<std::string> flags;
  for (const CompletedFlag& flag : command.flags) flags.push_back(flag.name);
  std::string text = "    " + (command.name.empty() ? "''" : command.name) + ")\n";
  text += values_of(command);
  text += "      flags='" + joined(flags, " ") + "'\n";
  if (!words.empty()) text += "      words='" + words + "'\n";
  if (has_files) text += "      files=1\n";
  return text + "      ;;\n";
}

}  // namespace

std::string bash_completion(const std::vector<CompletedCommand>& commands) {
  std::vector<std::string> names;
  for (const CompletedCommand& each : commands) {
    if (!each.name.empty()) names.push_back(each.name);
  }
  std::string text(kHead);
  text += joined(names, " | ");
  text += kAfterCommand;
  for (const CompletedCommand& each : commands) {
    std::string words = each.name.empty() ? joined(names, " ") : "";
    bool has_files = false;
    for (const CompletedFlag& positional : each.positionals) {
      words += joined(positional.choices, " ");
      has_files = has_files || positional.value == CompletedFlag::Value::kFile;
    }
    text += branch_of(each, words, has_files);
  }
  text += kTail;
  return text;
}

}  // namespace tools
