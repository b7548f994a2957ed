// Finds flags and values in the words of a complaint.

#include "tools/config/config_origin.h"

#include <cctype>
#include <optional>
#include <span>
#include <utility>

namespace tools {
namespace {

// A value of one letter is in every sentence.
constexpr std::size_t kTellingSize = 4;

bool goes_on(std::string_view text, std::size_t at) {
  return at < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '-');
}

// Where "--key" stands, and not "--key-records"; npos: nowhere.
std::size_t find_flag(std::string_view text, const std::string& key) {
  const std::string flag = "--" + key;
  std::size_t at = text.find(flag);
  while (at != std::string_view::npos && goes_on(text, at + flag.size())) {
    at = text.find(flag, at + 1);
  }
  return at;
}

// Of the longest value that the complaint names.
std::optional<Place> place_of_value(std::string_view complaint, std::span<const ConfigItem> items) {
  std::size_t longest = kTellingSize - 1;
  std::optional<Place> found;
  for (const ConfigItem& item : items) {
    for (const ConfigValue& value : item.values) {
      if (value.text.size() <= longest || complaint.find(value.text) == std::string_view::npos)
        continue;
      longest = value.text.size();
      found = value.place;
    }
  }
  return found;
}

}  // namespace

ConfigOrigin::ConfigOrigin(const ConfigFile& file, const Place& place,
                           std::vector<ConfigItem> items)
    : path_(file.path), place_(place), items_(std::move(items)) {}

std::string ConfigOrigin::of(std::string_view complaint) const {
  return ConfigFile{.path = path_, .shared = {}, .sections = {}}.at(place_of(complaint));
}

Place ConfigOrigin::place_of(std::string_view complaint) const {
  std::size_t first = std::string_view::npos;
  const ConfigItem* named = nullptr;
  for (const ConfigItem& item : items_) {
    const std::size_t at = find_flag(complaint, item.key);
    if (at >= first) continue;
    first = at;
    named = &item;
  }
  if (named != nullptr) return place_of_value(complaint, {named, 1}).value_or(named->place);
  return place_of_value(complaint, items_).value_or(place_);
}

}  // namespace tools
