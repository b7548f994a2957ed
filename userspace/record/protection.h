// Protection: how one direction's records are sealed and opened, chosen once when keys are
// installed. One class a file: null, aead; the older ones slot in beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/content_type.h"

namespace tls {

class Protection {
 public:
  virtual ~Protection() = default;

  // Bytes a record is longer than its content, header included.
  [[nodiscard]] virtual std::size_t overhead() const = 0;

  // Writes a whole record (header, protected fragment) for `content`, whose number is `sequence`.
  // `wire` has content.size() + overhead() bytes.
  [[nodiscard]] virtual ktls::Result<void> seal(std::uint64_t sequence, ContentType type,
                                                std::span<const std::uint8_t> content,
                                                std::span<std::uint8_t> wire) = 0;

  struct Opened {
    ContentType type;
    std::span<std::uint8_t> content;
  };
  // Opens a whole record (header included) in place.
  [[nodiscard]] virtual ktls::Result<Opened> open(std::uint64_t sequence,
                                                  std::span<std::uint8_t> record) = 0;
};

}  // namespace tls
