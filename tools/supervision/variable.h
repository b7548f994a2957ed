// Variables of the environment that are for this process alone.
#pragma once

#include <optional>
#include <string>

namespace tools {

// The value of `name`, which is taken out of the environment, so that no program of ours has it.
// Called before there is a second thread.
[[nodiscard]] std::optional<std::string> take_variable(const char* name);

}  // namespace tools
