// HeaderReader: takes a PROXY protocol header of either version from the beginning of a stream, and
// not a byte of what follows it. No I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/proxy_protocol/binary_header.h"
#include "tools/proxy_protocol/endpoints.h"

namespace proxy_protocol {

// Usage: until wanted() is 0, read up to that many bytes and take() them; then endpoints().
class HeaderReader {
 public:
  // The bytes to read next, all of which are the header's; 0: it is whole.
  [[nodiscard]] std::size_t wanted() const { return wanted_; }

  // One byte at least, wanted() at most. Errors: kDecodeError for what is no header, as soon as
  // that can be told; kLimitReached for one that is too long. The reader is of no use then.
  [[nodiscard]] ktls::Result<void> take(std::span<const std::uint8_t> bytes);

  // Of a whole header. Nothing: the sender speaks for itself, or knows no addresses.
  [[nodiscard]] const std::optional<Endpoints>& endpoints() const { return endpoints_; }

  [[nodiscard]] bool has_begun() const { return !received_.empty(); }

 private:
  // The signature of version 2; the shortest line of version 1 has more.
  std::size_t wanted_ = kSignature.size();
  std::vector<std::uint8_t> received_;
  std::optional<Endpoints> endpoints_;
};

}  // namespace proxy_protocol
