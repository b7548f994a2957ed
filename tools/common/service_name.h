// The name of the service that this process is, where several of one configuration write to one
// log.
#pragma once

#include <string>

namespace tools {

// From here on every line of the log has it as the field `service`, before all others. To be called
// before there are threads.
void name_service(const std::string& name);

// Empty: the process is the only one.
[[nodiscard]] const std::string& service_name();

}  // namespace tools
