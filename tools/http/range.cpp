#include "tools/http/range.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "tools/http/field_value.h"

namespace http {
namespace {

constexpr std::uint64_t kNumberMax = std::numeric_limits<std::uint64_t>::max();

// None if it is no number; what is too large for 64 bits is the largest, which no file reaches.
std::optional<std::uint64_t> parse_position(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (kNumberMax - digit) / 10 ? kNumberMax : value * 10 + digit;
  }
  return value;
}

// As the client wrote it: "first-", "first-last" or "-suffix".
struct RangeSpec {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;  // or the suffix's size where first is absent
};

std::optional<RangeSpec> parse_spec(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, dash);
  const std::string_view behind = text.substr(dash + 1);
  const RangeSpec spec{parse_position(before), parse_position(behind)};
  if (!before.empty() && !spec.first) return std::nullopt;
  if (!behind.empty() && !spec.last) return std::nullopt;
  if (!spec.first && !spec.last) return std::nullopt;
  // "An int-range is invalid if the last-pos value is present and less than first-pos."
  if (spec.first && spec.last && *spec.last < *spec.first) return std::nullopt;
  return spec;
}

// None where no byte of the file is in it. The file is not empty.
std::optional<ByteRange> within(const RangeSpec& spec, std::uint64_t size) {
  if (!spec.first) {
    const std::uint64_t suffix = std::min(*spec.last, size);
    if (suffix == 0) return std::nullopt;
    return ByteRange{size - suffix, size - 1};
  }
  if (*spec.first >= size) return std::nullopt;
  return ByteRange{*spec.first, std::min(spec.last.value_or(kNumberMax), size - 1)};
}

bool overlap(const ByteRange& a, const ByteRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

bool is_abusive(const std::vector<ByteRange>& ranges, std::uint64_t size) {
  std::uint64_t left = size;
  std::size_t overlapping = 0;
  for (const ByteRange& range : ranges) {
    if (range.size() > left) return true;
    left -= range.size();
    const auto others = std::count_if(ranges.begin(), ranges.end(), [&](const ByteRange& other) {
      return overlap(range, other);  // with itself, too
    });
    if (others > 1) ++overlapping;
  }
  return overlapping > kOverlappingMax;
}

}  // namespace

RangeAnswer parse_range(std::string_view field, std::uint64_t size) {
  using Kind = RangeAnswer::Kind;
  const std::size_t equals = field.find('=');
  if (equals == std::string_view::npos || !equals_ignoring_case(field.substr(0, equals), "bytes")) {
    return {};
  }
  RangeAnswer answer{Kind::kUnsatisfiable, {}};
  std::size_t specs = 0;
  ListReader members(field.substr(equals + 1));
  while (const auto member = members.next()) {
    const auto spec = parse_spec(*member);
    if (!spec || ++specs > kRangesMax) return {};
    // "-5" of an empty file can be satisfied, by nothing; only a 200 has a way to say that.
    if (size == 0 && !spec->first && *spec->last > 0) answer.kind = Kind::kWhole;
    const auto range = size == 0 ? std::nullopt : within(*spec, size);
    if (range) answer.ranges.push_back(*range);
  }
  if (specs == 0 || is_abusive(answer.ranges, size)) return {};
  if (!answer.ranges.empty()) answer.kind = Kind::kPartial;
  return answer;
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
  std::string value = "bytes ";
  value.append(std::to_string(range.first)).append("-").append(std::to_string(range.last));
  return value.append("/").append(std::to_string(size));
}

std::string unsatisfied_content_range(std::uint64_t size) {
  return "bytes */" + std::to_string(size);
}

}  // namespace http
