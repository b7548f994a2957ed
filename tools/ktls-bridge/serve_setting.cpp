// Which site a name means, and what each thread has.

#include "tools/ktls-bridge/serve_setting.h"

namespace tools {

std::size_t ServeSetting::site_of(std::string_view name) const {
  if (name.empty() || names.all().empty()) return 0;
  const auto found = names.find(tls::canonical_name(name));
  return found ? *found + 1 : 0;
}

ServeThread& this_thread() {
  thread_local ServeThread thread;
  return thread;
}

}  // namespace tools
