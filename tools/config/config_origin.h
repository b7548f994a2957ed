// ConfigOrigin: where in a configuration the reason for a complaint stands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/config/config_file.h"

namespace tools {

// Of one service.
class ConfigOrigin {
 public:
  // `items` is what the service is made of, the shared ones among them; `place` that of its table.
  ConfigOrigin(const ConfigFile& file, const Place& place, std::vector<ConfigItem> items);

  // "FILE:3:1", of the key whose flag `complaint` names first, or of the longest of its values that
  // it names as well, such as a path; else of the longest value of any key; else of the table.
  [[nodiscard]] std::string of(std::string_view complaint) const;

 private:
  [[nodiscard]] Place place_of(std::string_view complaint) const;

  std::string path_;
  Place place_;
  std::vector<ConfigItem> items_;
};

}  // namespace tools
