// Refusal: why a request is not served, as a status to answer with and words for the log.
#pragma once

namespace http {

struct Refusal {
  int status = 400;
  const char* reason = "";  // a literal, no part of the request
};

}  // namespace http
