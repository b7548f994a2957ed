#include "tools/http/multipart_ranges.h"

#include <utility>

namespace http {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string make_boundary(std::uint64_t random) {
  std::string boundary = "ktls-bridge-";
  for (unsigned shift = 64; shift > 0; shift -= 4) {
    boundary.push_back(kHexDigits[random >> (shift - 4) & 0xfU]);
  }
  return boundary;
}

}  // namespace

MultipartRanges::MultipartRanges(std::vector<ByteRange> ranges, std::uint64_t size,
                                 std::string_view media_type, std::uint64_t random)
    : ranges_(std::move(ranges)),
      size_(size),
      media_type_(media_type),
      boundary_(make_boundary(random)) {}

std::string MultipartRanges::content_type() const {
  return "multipart/byteranges; boundary=" + boundary_;
}

std::uint64_t MultipartRanges::content_length() const {
  std::uint64_t length = end().size();
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    length += part_head(i).size() + ranges_[i].size();
  }
  return length;
}

std::string MultipartRanges::part_head(std::size_t i) const {
  std::string head = i == 0 ? "--" : "\r\n--";
  head.append(boundary_).append("\r\nContent-Type: ").append(media_type_);
  head.append("\r\nContent-Range: ").append(content_range(ranges_[i], size_));
  return head.append("\r\n\r\n");
}

std::string MultipartRanges::end() const {
  return "\r\n--" + boundary_ + "--\r\n";
}

}  // namespace http
