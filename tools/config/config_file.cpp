// Walks the tree that toml++ makes of a file.

#include "tools/config/config_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <map>
#include <utility>

#include <fcntl.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;

// Many times what a thousand services take; a device that never ends is no configuration.
constexpr std::size_t kSizeMax = std::size_t{4} << 20;
constexpr std::size_t kSectionsMax = 256;
constexpr std::size_t kNameMax = 64;
constexpr std::string_view kNameKey = "service";

Place place_of(const toml::source_region& region) {
  return {.line = std::max(region.begin.line, 1U), .column = std::max(region.begin.column, 1U)};
}

std::string_view article_of(toml::node_type type) {
  static const std::map<toml::node_type, std::string_view> names = {
      {toml::node_type::table, "a table"},
      {toml::node_type::array, "an array"},
      {toml::node_type::string, "a string"},
      {toml::node_type::integer, "a number"},
      {toml::node_type::floating_point, "a number"},
      {toml::node_type::boolean, "a boolean"},
      {toml::node_type::date, "a date"},
      {toml::node_type::time, "a time"},
      {toml::node_type::date_time, "a date"}};
  const auto found = names.find(type);
  return found == names.end() ? "nothing" : found->second;
}

std::string text_of_number(double number) {
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  return std::string(digits.begin(), end);
}

class Reader {
 public:
  Reader(std::string path, std::span<const std::string_view> commands) : commands_(commands) {
    file_.path = std::move(path);
  }

  Result<ConfigFile> read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (std::ranges::find(commands_, key.str()) != commands_.end()) {
        if (auto done = read_sections(key, node); !done) return ktls::fail(std::move(done).error());
      } else if (is_of_tables(node)) {
        return refuse(place_of(key.source()), "there is no command '" + std::string(key.str()) +
                                                  "': tables are " + names());
      } else {
        KTLS_TRY(ConfigItem item, read_item(key, node));

        file_.shared.push_back(std::move(item));
      }
    }
    in_order();
    if (auto done = name_sections(); !done) return ktls::fail(std::move(done).error());
    return std::move(file_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> refuse(const Place& place, const std::string& what) const {
    return ktls::fail(Error::of(ktls::ErrorCode::kInvalidArgument, file_.at(place) + ": " + what));
  }

  [[nodiscard]] std::string names() const {
    std::string all;
    for (const std::string_view each : commands_) {
      all.append(all.empty() ? "[[" : ", [[").append(each).append("]]");
    }
    return all;
  }

  static bool is_of_tables(const toml::node& node) {
    return node.is_table() || (node.is_array_of_tables() && !node.as_array()->empty());
  }

  Result<void> read_sections(const toml::key& key, const toml::node& node) {
    if (const toml::table* table = node.as_table()) return read_section(key, *table);
    if (!is_of_tables(node)) {
      const std::string name(key.str());
      return refuse(place_of(node.source()),
                    name + " is a table: write [[" + name + "]] above its keys");
    }
    for (const toml::node& each : *node.as_array()) {
      if (auto done = read_section(key, *each.as_table()); !done)
        return ktls::fail(std::move(done).error());
    }
    return {};
  }

  Result<void> read_section(const toml::key& command, const toml::table& table) {
    ConfigSection section{.command = std::string(command.str()),
                          .name = {},
                          .place = place_of(table.source()),
                          .items = {}};
    if (file_.sections.size() == kSectionsMax) {
      return refuse(section.place, "more than " + std::to_string(kSectionsMax) + " services");
    }
    for (const auto& [key, node] : table) {
      KTLS_TRY(ConfigItem item, read_item(key, node));

      if (item.key != kNameKey) {
        section.items.push_back(std::move(item));
      } else if (item.values.size() == 1 && item.values[0].kind == ConfigValue::Kind::kText &&
                 !item.values[0].text.empty() && item.values[0].text.size() <= kNameMax) {
        section.name = item.values[0].text;
      } else {
        return refuse(place_of(node.source()),
                      "service takes a name of 1 to " + std::to_string(kNameMax) + " characters");
      }
    }
    file_.sections.push_back(std::move(section));
    return {};
  }

  Result<ConfigItem> read_item(const toml::key& key, const toml::node& node) {
    ConfigItem item{.key = std::string(key.str()), .place = place_of(key.source()), .values = {}};
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& each : *array) {
        KTLS_TRY(ConfigValue value, read_value(item.key, each));

        item.values.push_back(std::move(value));
      }
      return item;
    }
    KTLS_TRY(ConfigValue value, read_value(item.key, node));

    item.values.push_back(std::move(value));
    return item;
  }

  Result<ConfigValue> read_value(const std::string& key, const toml::node& node) {
    ConfigValue value{
        .kind = ConfigValue::Kind::kText, .text = {}, .place = place_of(node.source())};
    if (const auto* text = node.as_string()) {
      value.text = text->get();
      if (value.text.find('\0') != std::string::npos) {
        return refuse(value.place, key + ": there is a NUL in the string");
      }
    } else if (const auto* integer = node.as_integer()) {
      value.kind = ConfigValue::Kind::kNumber;
      value.text = std::to_string(integer->get());
    } else if (const auto* number = node.as_floating_point()) {
      value.kind = ConfigValue::Kind::kNumber;
      value.text = text_of_number(number->get());
    } else if (const auto* yes = node.as_boolean()) {
      value.kind = ConfigValue::Kind::kSwitch;
      value.text = yes->get() ? "true" : "false";
    } else {
      return refuse(value.place, key +
                                     " takes a string, a number, a boolean or an array of these, " +
                                     "not " + std::string(article_of(node.type())));
    }
    return value;
  }

  // A table of toml++ is sorted by name.
  void in_order() {
    const auto by_place = [](const auto& one, const auto& other) {
      return std::pair(one.place.line, one.place.column) <
             std::pair(other.place.line, other.place.column);
    };
    std::ranges::sort(file_.shared, by_place);
    std::ranges::sort(file_.sections, by_place);
    for (ConfigSection& section : file_.sections) std::ranges::sort(section.items, by_place);
  }

  Result<void> name_sections() {
    std::map<std::string, unsigned> counts;
    for (ConfigSection& section : file_.sections) {
      const unsigned number = ++counts[section.command];
      if (section.name.empty()) section.name = section.command + "-" + std::to_string(number);
    }
    std::map<std::string, Place> seen;
    for (const ConfigSection& section : file_.sections) {
      const auto [first, is_new] = seen.emplace(section.name, section.place);
      if (!is_new) {
        return refuse(section.place, "the service at " + file_.at(first->second) + " is called '" +
                                         section.name + "', too");
      }
    }
    return {};
  }

  std::span<const std::string_view> commands_;
  ConfigFile file_;
};

Result<std::string> read_bounded(const std::string& path) {
  const ktls::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return ktls::fail(Error::system(errno, path));
  std::string text;
  std::array<char, 65536> chunk{};
  for (;;) {
    const ssize_t size = ::read(fd.get(), chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ktls::fail(Error::system(errno, path));
    if (size == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(size));
    if (text.size() > kSizeMax) return ktls::fail(Error::system(EFBIG, path));
  }
}

}  // namespace

std::string ConfigFile::at(const Place& place) const {
  return path + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

Result<ConfigFile> parse_config(std::string_view text, const std::string& path,
                                std::span<const std::string_view> commands) {
  try {
    return Reader(path, commands).read(toml::parse(text, path));
  } catch (const toml::parse_error& error) {
    const ConfigFile file{.path = path, .shared = {}, .sections = {}};
    return ktls::fail(
        Error::of(ktls::ErrorCode::kInvalidArgument,
                  file.at(place_of(error.source())) + ": " + std::string(error.description())));
  }
}

Result<ConfigFile> read_config(const std::string& path,
                               std::span<const std::string_view> commands) {
  KTLS_TRY(const std::string text, read_bounded(path));

  return parse_config(text, path, commands);
}

}  // namespace tools
