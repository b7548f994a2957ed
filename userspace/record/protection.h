// Protection: how one direction's records are sealed and opened, chosen once when keys are
// installed. One class a file: null, aead_12, aead_13; the older ones slot in beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/record/record_header.h"
#include "userspace/suite/content_type.h"

namespace tls {

class Protection {
 public:
  virtual ~Protection() = default;

  // Bytes a record is longer than its content, header included.
  [[nodiscard]] virtual std::size_t overhead() const = 0;

  // Writes a whole record (header, protected fragment) for `content`, whose number is `sequence`.
  // `wire` has content.size() + overhead() bytes and does not overlap `content`.
  [[nodiscard]] virtual ktls::Result<void> seal(std::uint64_t sequence, ContentType type,
                                                std::span<const std::uint8_t> content,
                                                std::span<std::uint8_t> wire) = 0;

  // What can be known of a record before its body is there. Errors as of open().
  [[nodiscard]] virtual ktls::Result<void> check_header(const RecordHeader& header) const = 0;

  struct Opened {
    ContentType type;
    std::span<std::uint8_t> content;
  };
  // Opens a whole record (header included, at least kRecordHeaderSize bytes and as long as the
  // header says) in place, check_header() included. After an error the body's bytes are undefined,
  // and hold no plaintext that was not authenticated.
  [[nodiscard]] virtual ktls::Result<Opened> open(std::uint64_t sequence,
                                                  std::span<std::uint8_t> record) = 0;

  // The explicit nonce that the record numbered `sequence` would be sealed with; 0 where records
  // carry none.
  [[nodiscard]] virtual std::uint64_t explicit_nonce(std::uint64_t sequence) const = 0;
};

}  // namespace tls
