// Whether a sanitizer is part of the program, which looks at it from outside at its end.
#pragma once

namespace tools {

// Why there can be no sandbox; null: nothing is in its way.
[[nodiscard]] const char* sanitizer_hindrance();

}  // namespace tools
