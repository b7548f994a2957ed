// Framer: headers and bodies of records, without any protection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/record/record_header.h"
#include "userspace/record/record_layer.h"

namespace api {

class Framer {
 public:
  // Bytes that a body has at most.
  void set_limit(std::size_t body_size_max) { body_size_max_ = body_size_max; }

  // Appends to what is unread. What next() gave before is gone.
  void feed(std::span<const std::uint8_t> bytes);
  void feed_end() { has_ended_ = true; }

  // Bytes that the next record still wants; 0 when next() has something to say.
  [[nodiscard]] std::size_t want() const;

  struct Framed {
    tls::RecordHeader header;
    std::span<std::uint8_t> body;
  };
  // Errors: kIllegalParameter and kRecordOverflow of the header, kEndOfStream once the transport
  // has ended and no whole record is left.
  [[nodiscard]] ktls::Result<std::variant<tls::NeedBytes, Framed>> next();

 private:
  struct Decoded {
    tls::RecordHeader header;
    std::size_t header_size;
  };
  [[nodiscard]] ktls::Result<std::variant<tls::NeedBytes, Decoded>> decode() const;

  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  // of what is unread
  std::size_t body_size_max_ = tls::kCiphertextSizeMax;
  bool has_ended_ = false;
};

}  // namespace api
