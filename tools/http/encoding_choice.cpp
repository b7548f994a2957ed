#include "tools/http/encoding_choice.h"

#include "tools/http/field_value.h"

namespace http {
namespace {

constexpr std::array<std::string_view, kCodingCount> kNames = {"zstd", "br", "gzip", "identity"};
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

Coding choose_coding(std::optional<std::string_view> accept_encoding, const Variants& variants) {
  if (!accept_encoding) return Coding::kIdentity;
  const std::array<bool, kCodingCount> available = {variants.zstd, variants.brotli, variants.gzip,
                                                    true};
  // Identity that is not named is acceptable, and comes after everything that is named; where it is
  // forbidden, there is still nothing better once the others are out.
  const auto weights = weights_of(*accept_encoding);
  std::size_t best = kIdentity;
  for (std::size_t i = kIdentity; i-- > 0;) {
    if (available[i] && weights[i] > 0 && weights[i] >= weights[best]) best = i;
  }
  return static_cast<Coding>(best);
}

}  // namespace http
