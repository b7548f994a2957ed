#include "tools/http/conditional.h"

#include <string_view>

namespace http {
namespace {

// A field whose value is not one valid HTTP-date is as good as absent, and so it is where the file
// has no date to compare with (sections 13.1.3 and 13.1.4).
std::optional<bool> is_modified_since(std::optional<std::string_view> field,
                                      const Representation& representation, Seconds now) {
  if (!field || !representation.modified) return std::nullopt;
  const auto date = parse_date(*field, now);
  if (!date) return std::nullopt;
  return *representation.modified > *date;
}

// Steps 1 and 2. A list that cannot be read names no representation that there is.
bool is_failed(const Request& request, const Representation& representation, Seconds now) {
  if (const auto list = request.field(Field::kIfMatch)) {
    const ListAnswer answer = look_up(*list, representation.tag, Comparison::kStrong);
    return answer != ListAnswer::kAny && answer != ListAnswer::kListed;
  }
  return is_modified_since(request.field(Field::kIfUnmodifiedSince), representation, now)
      .value_or(false);
}

// Steps 3 and 4. A list that cannot be read is passed over, as a 304 would leave the client with a
// representation that it may not have.
bool is_unchanged(const Request& request, const Representation& representation, Seconds now) {
  if (const auto list = request.field(Field::kIfNoneMatch)) {
    const ListAnswer answer = look_up(*list, representation.tag, Comparison::kWeak);
    return answer == ListAnswer::kAny || answer == ListAnswer::kListed;
  }
  if (request.method == Method::kOther) return false;
  return !is_modified_since(request.field(Field::kIfModifiedSince), representation, now)
              .value_or(true);
}

// Step 5, section 13.1.5: the same tag by the strong comparison, or the same date if that is a
// strong validator. A date is none as long as its second lasts, in which the file may change again.
bool is_same_representation(std::string_view validator, const Representation& representation,
                            Seconds now) {
  if (const auto tag = parse_entity_tag(validator)) {
    return representation.tag && matches(*tag, *representation.tag, Comparison::kStrong);
  }
  const auto date = parse_date(validator, now);
  return date && representation.modified && *date == *representation.modified && *date < now;
}

}  // namespace

Decision evaluate(const Request& request, const Representation& representation, Seconds now) {
  if (!representation.exists) return {};
  if (is_failed(request, representation, now)) return {Verdict::kPreconditionFailed, false};
  if (is_unchanged(request, representation, now)) {
    const bool is_reading = request.method != Method::kOther;
    return {is_reading ? Verdict::kNotModified : Verdict::kPreconditionFailed, false};
  }
  // "A server MUST ignore a Range header field received with a request method that is unrecognized
  // or for which range handling is not defined": GET alone has it (section 14.2).
  if (request.method != Method::kGet || !request.field(Field::kRange)) return {};
  const auto validator = request.field(Field::kIfRange);
  return {Verdict::kProceed, !validator || is_same_representation(*validator, representation, now)};
}

}  // namespace http
