// Asks CLI11 what a key is, and whether it takes a value.

#include "tools/config/section_words.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "tools/common/log.h"
#include "tools/config/suggestion.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;

constexpr std::array<std::string_view, 3> kNotInFiles = {"help", "check", "config"};

std::string key_of(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return option.get_lnames().front();
  std::string key = option.get_single_name();
  std::ranges::transform(key, key.begin(), [](unsigned char c) { return std::tolower(c); });
  return key;
}

bool is_positional(const CLI::Option& option) {
  return option.get_lnames().empty() && option.get_positional();
}

bool is_switch(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

bool is_for_files(const std::string& key) {
  return std::ranges::find(kNotInFiles, key) == kNotInFiles.end();
}

CLI::Option* find_option(CLI::App& command, const std::string& key) {
  for (CLI::Option* option : command.get_options()) {
    if (key_of(*option) == key && is_for_files(key)) return option;
  }
  return nullptr;
}

class Translation {
 public:
  Translation(const ConfigFile& file, CLI::App& command, const std::set<std::string>& given)
      : file_(file), command_(command), given_(given) {}

  Result<void> add(const ConfigItem& item, const std::string& heading) {
    CLI::Option* const option = find_option(command_, item.key);
    if (option == nullptr) return refuse(item.place, unknown(item.key, heading));
    if (given_.contains(item.key)) return {};
    for (const ConfigValue& value : item.values) {
      if (auto done = check_kind(item, value, *option); !done) {
        return ktls::fail(std::move(done).error());
      }
    }
    const bool is_one = option->get_items_expected_max() <= 1;
    if (is_one && item.values.size() > 1) {
      return refuse(item.values[1].place, item.key + " takes one value");
    }
    for (const ConfigValue& value : item.values) {
      if (auto done = check_value(value, *option); !done) {
        return ktls::fail(std::move(done).error());
      }
      add_words(item, value, *option);
    }
    words_.items.push_back(item);
    return {};
  }

  SectionWords take() { return std::move(words_); }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const Place& place, const std::string& what) const {
    return ktls::fail(Error::of(ktls::ErrorCode::kInvalidArgument, file_.at(place) + ": " + what));
  }

  [[nodiscard]] std::string unknown(const std::string& key, const std::string& heading) const {
    if (!is_for_files(key)) return key + " is for the command line alone";
    const std::vector<std::string> known = keys_of(command_);
    const std::string meant = nearest_to(key, known);
    const std::string hint =
        meant.empty() ? "keys are named after the flags of ktls-bridge " + command_.get_name()
                      : "is " + meant + " meant?";
    return "unknown key '" + one_line(key) + "' " + heading + ": " + hint;
  }

  [[nodiscard]] Result<void> check_kind(const ConfigItem& item, const ConfigValue& value,
                                        const CLI::Option& option) const {
    const bool has_switch = value.kind == ConfigValue::Kind::kSwitch;
    if (is_switch(option) && !has_switch) {
      return refuse(value.place, item.key + " is a switch: true or false");
    }
    if (!is_switch(option) && has_switch) {
      return refuse(value.place, item.key + " takes " + option.get_type_name() + ", not a boolean");
    }
    return {};
  }

  [[nodiscard]] Result<void> check_value(const ConfigValue& value, CLI::Option& option) const {
    if (is_switch(option)) return {};
    Result<void> checked;
    try {
      option.add_result(value.text);
      option.run_callback();
    } catch (const CLI::Error& error) {
      checked = refuse(value.place, one_line(error.what()));
    }
    option.clear();
    return checked;
  }

  void add_words(const ConfigItem& item, const ConfigValue& value, const CLI::Option& option) {
    if (is_positional(option)) {
      words_.positionals.push_back(value.text);
    } else if (!is_switch(option)) {
      words_.flags.push_back("--" + item.key);
      words_.flags.push_back(value.text);
    } else if (value.text == "true") {
      words_.flags.push_back("--" + item.key);
    }
  }

  const ConfigFile& file_;
  CLI::App& command_;
  const std::set<std::string>& given_;
  SectionWords words_;
};

bool has_key(const ConfigSection& section, const std::string& key) {
  return std::ranges::any_of(section.items,
                             [&key](const ConfigItem& item) { return item.key == key; });
}

}  // namespace

std::vector<std::string> keys_of(const CLI::App& command) {
  std::vector<std::string> keys;
  for (const CLI::Option* option : command.get_options()) {
    if (is_for_files(key_of(*option))) keys.push_back(key_of(*option));
  }
  return keys;
}

std::set<std::string> keys_given(const CLI::App& command) {
  std::set<std::string> given;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0) continue;
    given.insert(key_of(*option));
    for (const CLI::Option* other : option->get_excludes()) given.insert(key_of(*other));
  }
  return given;
}

Result<SectionWords> words_of(const ConfigFile& file, const ConfigSection& section,
                              CLI::App& command, const std::set<std::string>& given,
                              bool passes_over) {
  Translation translation(file, command, given);
  for (const ConfigItem& item : file.shared) {
    if (has_key(section, item.key)) continue;
    if (passes_over && find_option(command, item.key) == nullptr) continue;
    if (auto done = translation.add(item, "above the tables"); !done)
      return ktls::fail(std::move(done).error());
  }
  for (const ConfigItem& item : section.items) {
    if (auto done = translation.add(item, "in [[" + section.command + "]]"); !done)
      return ktls::fail(std::move(done).error());
  }
  return translation.take();
}

}  // namespace tools
