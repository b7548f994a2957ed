// MultipartRanges: what stands around the ranges of a multipart/byteranges body, and how long the
// body is with them (RFC 9110 section 14.6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/http/range.h"

namespace http {

// The body is, for each range, its head and its bytes of the file, and then the end:
//
//   for each i: part_head(i), the file's bytes of ranges()[i]
//   end()
class MultipartRanges {
 public:
  // More than one range (section 15.3.7.2: one is not sent as multipart), of a file of `size` bytes
  // and of `media_type`. `random` makes the boundary, which must not stand in the file: the caller
  // draws it anew for each response, so that nobody can put it there.
  MultipartRanges(std::vector<ByteRange> ranges, std::uint64_t size, std::string_view media_type,
                  std::uint64_t random);

  [[nodiscard]] const std::vector<ByteRange>& ranges() const { return ranges_; }
  [[nodiscard]] std::string content_type() const;      // of the response
  [[nodiscard]] std::uint64_t content_length() const;  // of the whole body
  [[nodiscard]] std::string part_head(std::size_t i) const;
  [[nodiscard]] std::string end() const;

 private:
  std::vector<ByteRange> ranges_;
  std::uint64_t size_;
  std::string media_type_;
  std::string boundary_;
};

}  // namespace http
