#include "tools/http/encoding_choice.h"

#include <algorithm>

#include "tools/http/field_value.h"

namespace http {
namespace {

constexpr std::array<std::string_view, kCodingCount> kNames = {"zstd", "br", "gzip", "identity"};
constexpr std::array<std::string_view, kCodingCount> kSuffixes = {".zst", ".br", ".gz", ""};
constexpr auto kIdentity = static_cast<std::size_t>(Coding::kIdentity);

// None for a coding that is not ours. "A recipient SHOULD consider "x-gzip" to be equivalent to
// "gzip"" (section 8.4.1.3).
std::optional<std::size_t> index_of(std::string_view name) {
  if (equals_ignoring_case(name, "x-gzip")) return static_cast<std::size_t>(Coding::kGzip);
  for (std::size_t i = 0; i < kCodingCount; ++i) {
    if (equals_ignoring_case(name, kNames[i])) return i;
  }
  return std::nullopt;
}

// Thousandths for each coding; 0 is not acceptable.
std::array<int, kCodingCount> weights_of(std::string_view accept_encoding) {
  std::array<std::optional<int>, kCodingCount> named{};
  std::optional<int> others;
  ListReader members(accept_encoding);
  while (const auto member = members.next()) {
    const auto weighted = parse_weighted(*member);
    if (!weighted) continue;
    if (weighted->name == "*") {
      others = weighted->thousandths;
    } else if (const auto index = index_of(weighted->name)) {
      named[*index] = weighted->thousandths;
    }
  }
  std::array<int, kCodingCount> weights{};
  for (std::size_t i = 0; i < kCodingCount; ++i) weights[i] = named[i].value_or(others.value_or(0));
  return weights;
}

}  // namespace

std::string_view coding_name(Coding coding) {
  return coding == Coding::kIdentity ? "" : kNames[static_cast<std::size_t>(coding)];
}

std::string_view coding_suffix(Coding coding) {
  return kSuffixes[static_cast<std::size_t>(coding)];
}

CodingOrder codings_in_order(std::optional<std::string_view> accept_encoding) {
  CodingOrder order = {Coding::kZstd, Coding::kBrotli, Coding::kGzip, Coding::kIdentity};
  auto weights = weights_of(accept_encoding.value_or(""));
  // Identity that is not named is acceptable, and comes after everything that is named; where it is
  // forbidden, there is still nothing better once the others are out.
  weights[kIdentity] = std::max(weights[kIdentity], 1);
  std::sort(order.begin(), order.end(), [&](Coding left, Coding right) {
    const int heavier = weights[static_cast<std::size_t>(left)];
    const int lighter = weights[static_cast<std::size_t>(right)];
    return heavier != lighter ? heavier > lighter : left < right;
  });
  return order;
}

}  // namespace http
