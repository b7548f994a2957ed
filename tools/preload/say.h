// What the shim has to tell whoever started the program.
#pragma once

#include <initializer_list>
#include <string_view>

namespace preload {

// One line on the standard error output, "ktls-bridge: " and the parts; by a single write(2). None
// where that output is a connection, whose peer it is not meant for.
void say(std::initializer_list<std::string_view> parts);

}  // namespace preload
