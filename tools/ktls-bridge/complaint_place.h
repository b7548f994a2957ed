// Where in a configuration the reason for a complaint stands.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tools {

// From here on what this process complains of begins with its place, as `locate` finds it in the
// words of the complaint: "FILE:3:1". Null: no more.
void locate_complaints(std::function<std::string(std::string_view)> locate);

// `what` after its place, if there is one.
[[nodiscard]] std::string located(const std::string& what);

}  // namespace tools
