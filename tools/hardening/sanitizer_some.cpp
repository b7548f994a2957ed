// Of builds with one: LeakSanitizer forks and traces at the end.

#include "tools/hardening/sanitizer.h"

namespace tools {

const char* sanitizer_hindrance() {
  return "a sanitizer is built in, which needs more";
}

}  // namespace tools
