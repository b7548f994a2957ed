// Of builds without a sanitizer.

#include "tools/hardening/sanitizer.h"

namespace tools {

const char* sanitizer_hindrance() {
  return nullptr;
}

}  // namespace tools
