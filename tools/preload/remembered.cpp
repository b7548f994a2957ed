#include "tools/preload/remembered.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace preload {

const RememberedOption* find_option(const Wrapped& wrapped, int level, int name) {
  const std::size_t count = std::min(wrapped.option_count, wrapped.options.size());
  for (std::size_t i = 0; i < count; ++i) {
    const RememberedOption& option = wrapped.options[i];
    if (option.level == level && option.name == name) return &option;
  }
  return nullptr;
}

void remember_option(Wrapped& wrapped, const RememberedOption& option) {
  const RememberedOption* known = find_option(wrapped, option.level, option.name);
  if (known != nullptr) {
    wrapped.options[static_cast<std::size_t>(known - wrapped.options.data())] = option;
    return;
  }
  if (wrapped.option_count == wrapped.options.size()) {
    std::rotate(wrapped.options.begin(), wrapped.options.begin() + 1, wrapped.options.end());
    wrapped.options.back() = option;
    return;
  }
  wrapped.options[wrapped.option_count++] = option;
}

int tell_address(const sockaddr_in6& from, sockaddr* to, socklen_t* size) {
  if (size == nullptr || to == nullptr) return EFAULT;
  if (static_cast<int>(*size) < 0) return EINVAL;
  const socklen_t whole = from.sin6_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  std::memcpy(to, &from, std::min(*size, whole));
  *size = whole;
  return 0;
}

}  // namespace preload
