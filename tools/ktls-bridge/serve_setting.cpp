// Which site a name means.

#include "tools/ktls-bridge/serve_setting.h"

namespace tools {

std::size_t ServeSetting::site_of(std::string_view name) const {
  if (name.empty() || names.all().empty()) return 0;
  const auto found = names.find(tls::canonical_name(name));
  return found ? *found + 1 : 0;
}

}  // namespace tools
