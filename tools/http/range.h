// Range: which bytes of a file a request asks for, and how an answer with a part of it says so (RFC
// 9110 section 14).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace http {

// Both positions are part of it.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  [[nodiscard]] std::uint64_t size() const { return last - first + 1; }
  [[nodiscard]] bool operator==(const ByteRange&) const = default;
};

struct RangeAnswer {
  enum class Kind : std::uint8_t {
    kWhole,          // 200: the field is passed over
    kPartial,        // 206: `ranges`, in the client's order; one is sent without multipart
    kUnsatisfiable,  // 416: no range begins within the file
  };
  Kind kind = Kind::kWhole;
  std::vector<ByteRange> ranges;
};

// More ranges than readers of documents ask for; each costs the head of a part.
inline constexpr std::size_t kRangesMax = 16;
// "more than two overlapping ranges" are "egregious" (section 17.15).
inline constexpr std::size_t kOverlappingMax = 2;

// Reads a Range field against a file of `size` bytes. Another unit than bytes, a malformed set and
// an abusive one are passed over: more than kRangesMax ranges, more than kOverlappingMax that
// overlap, or ranges that together are longer than the file. The whole file is then never more work
// than what was asked for, every client understands it, and unlike coalescing it leaves the order
// of the ranges to the client.
[[nodiscard]] RangeAnswer parse_range(std::string_view field, std::uint64_t size);

// "bytes 0-499/1234", of a 206.
[[nodiscard]] std::string content_range(const ByteRange& range, std::uint64_t size);
// "bytes */1234", of a 416.
[[nodiscard]] std::string unsatisfied_content_range(std::uint64_t size);

}  // namespace http
