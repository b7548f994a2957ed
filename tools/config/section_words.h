// Turns keys of a configuration into the words of a command line, so that each goes through the
// very flag that it is named after.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/config/config_file.h"

namespace CLI {
class App;
}

namespace tools {

struct SectionWords {
  std::vector<std::string> flags;
  std::vector<std::string> positionals;
  std::vector<ConfigItem> items;  // those that the words were made of
};

// The key of each flag of `command`: "listen" of --listen, and "dir" of a positional DIR. Those are
// left out that have no place in a file: help, check, config.
[[nodiscard]] std::vector<std::string> keys_of(const CLI::App& command);

// The flags that were on the command line that `command` has parsed, and those that go with none of
// them: what a file says of these does not count.
[[nodiscard]] std::set<std::string> keys_given(const CLI::App& command);

// The words of `section` and of what `file` shares, but for the keys in `given`. Each value goes
// through its option of `command` alone, whose variables hold anything afterwards. A shared key
// that `command` does not know is passed over where `passes_over`. Error: kInvalidArgument with the
// place of the key or value, and the words of the option.
[[nodiscard]] ktls::Result<SectionWords> words_of(const ConfigFile& file,
                                                  const ConfigSection& section, CLI::App& command,
                                                  const std::set<std::string>& given,
                                                  bool passes_over);

}  // namespace tools
