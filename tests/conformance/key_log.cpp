// Reading of key log lines.

#include "tests/conformance/key_log.h"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace conformance {

void KeyLog::append(std::string_view line) {
  const std::size_t label_end = line.find(' ');
  const std::size_t secret_begin = line.rfind(' ') + 1;
  if (label_end == std::string_view::npos || secret_begin <= label_end + 1) return;
  const std::string_view hex = line.substr(secret_begin);
  auto secret = tls::TrafficSecret::with_size(hex.size() / 2);
  for (std::size_t i = 0; i < secret.size(); ++i) {
    std::uint8_t& byte = secret.mutable_bytes()[i];
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, byte, 16);
  }
  const std::scoped_lock lock(mutex_);
  secrets_.insert_or_assign(std::string(line.substr(0, label_end)), std::move(secret));
}

tls::TrafficSecret KeyLog::secret(std::string_view label) const {
  const std::scoped_lock lock(mutex_);
  const auto found = secrets_.find(label);
  return found == secrets_.end() ? tls::TrafficSecret() : found->second.duplicate();
}

}  // namespace conformance
