// Reads CLI11's options; the name of a value's type says what the value is.

#include "tools/completion/completion.h"

#include <CLI/CLI.hpp>

#include "tools/completion/flags.h"

namespace tools {
namespace {

// "auto|never" lists its values; "host|port" would as well, but types that people fill in are in
// capitals.
std::vector<std::string> choices_of(const std::string& type) {
  if (type.find('|') == std::string::npos) return {};
  return CLI::detail::split(type, '|');
}

CompletedFlag flag_of(const CLI::Option& option) {
  const bool is_named = !option.get_lnames().empty();
  CompletedFlag flag{
      .name = is_named ? "--" + option.get_lnames().front() : option.get_single_name(),
      .text = option.get_description(),
      .value = CompletedFlag::Value::kNone,
      .type = option.get_type_name(),
      .choices = {},
      .is_repeatable = option.get_items_expected_max() > 1};
  if (option.get_items_expected_max() == 0) return flag;
  flag.choices = choices_of(flag.type);
  if (!flag.choices.empty()) {
    flag.value = CompletedFlag::Value::kChoice;
  } else if (flag.type == "FILE" || flag.type == "PATH" || flag.type == "DIR") {
    flag.value = CompletedFlag::Value::kFile;
  } else {
    flag.value = CompletedFlag::Value::kOther;
  }
  return flag;
}

CompletedCommand command_of(const CLI::App& app, const std::string& name) {
  CompletedCommand command{
      .name = name, .text = app.get_description(), .flags = {}, .positionals = {}};
  for (const CLI::Option* option : app.get_options()) {
    auto& place = option->get_lnames().empty() ? command.positionals : command.flags;
    place.push_back(flag_of(*option));
  }
  return command;
}

}  // namespace

std::vector<CompletedCommand> commands_of(const CLI::App& app) {
  std::vector<CompletedCommand> commands = {command_of(app, "")};
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(command_of(*each, each->get_name()));
  }
  return commands;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& each : words) {
    if (!text.empty()) text += between;
    text += each;
  }
  return text;
}

std::string completion_of(const CLI::App& app, const std::string& shell) {
  const auto commands = commands_of(app);
  if (shell == "bash") return bash_completion(commands);
  return shell == "fish" ? fish_completion(commands) : zsh_completion(commands);
}

}  // namespace tools
