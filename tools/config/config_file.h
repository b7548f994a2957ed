// ConfigFile: a configuration in TOML, as keys with values and the place where each stands. What a
// key means is no business of this file: keys are the names of flags.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"

namespace tools {

struct Place {
  unsigned line = 1;
  unsigned column = 1;
};

struct ConfigValue {
  enum class Kind : std::uint8_t { kText, kNumber, kSwitch };
  Kind kind = Kind::kText;
  std::string text;  // as it would stand on a command line; of a switch: "true" or "false"
  Place place;
};

// `threads = 2`, or `listen = ["127.0.0.1:80", "[::1]:80"]`.
struct ConfigItem {
  std::string key;
  Place place;
  std::vector<ConfigValue> values;
};

// The table of one service, `[[wrap]]`.
struct ConfigSection {
  std::string command;
  std::string name;  // key `service`: what its log lines say; else command and number: "wrap-1"
  Place place;
  std::vector<ConfigItem> items;
};

struct ConfigFile {
  std::string path;
  std::vector<ConfigItem> shared;  // above all tables: for each of them that does not say otherwise
  std::vector<ConfigSection> sections;

  // "FILE:3:1".
  [[nodiscard]] std::string at(const Place& place) const;
};

// Tables may have the names of `commands`. Errors: kSystem if the file cannot be read;
// kInvalidArgument with "FILE:LINE:COLUMN: " and what is wrong there.
[[nodiscard]] ktls::Result<ConfigFile> read_config(const std::string& path,
                                                   std::span<const std::string_view> commands);

// The same of a text that `path` is the name of.
[[nodiscard]] ktls::Result<ConfigFile> parse_config(std::string_view text, const std::string& path,
                                                    std::span<const std::string_view> commands);

}  // namespace tools
