// Conditional requests: whether the state of a representation lets a request go on (RFC 9110
// section 13).
#pragma once

#include <cstdint>
#include <optional>

#include "tools/http/date.h"
#include "tools/http/entity_tag.h"
#include "tools/http/request.h"

namespace http {

// What a request would be answered with, as far as its preconditions ask.
struct Representation {
  bool exists = true;
  std::optional<EntityTag> tag;     // as its ETag field would say
  std::optional<Seconds> modified;  // as its Last-Modified field would say
};

enum class Verdict : std::uint8_t {
  kProceed,             // as without preconditions
  kNotModified,         // 304
  kPreconditionFailed,  // 412
};

struct Decision {
  Verdict verdict = Verdict::kProceed;
  bool uses_range = false;  // kProceed: the Range field counts; else the whole file is sent
};

// Evaluates the fields in the order of section 13.2.2. Nothing is checked of what does not exist:
// "A server MUST ignore all received preconditions if its response to the same request without
// those conditions [...] would have been a status code other than a 2xx (Successful) or 412
// (Precondition Failed)" (section 13.2.1).
[[nodiscard]] Decision evaluate(const Request& request, const Representation& representation,
                                Seconds now);

}  // namespace http
