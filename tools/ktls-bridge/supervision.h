// What every service says to whoever has started it, and takes from them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/common/log.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/service_flags.h"
#include "tools/supervision/inherited_sockets.h"
#include "tools/supervision/supervisor.h"

namespace tools {

// By the environment, of which it takes its part. `log`, which is borrowed, has what it could not
// be told, in lines `supervisor`.
[[nodiscard]] Supervisor supervisor_of(const Log& log);

// That of --ready-fd, if there is one.
[[nodiscard]] std::optional<Complaint> take_ready_descriptor(const ServiceOptions& options,
                                                             Supervisor& supervisor);

// "serving on 127.0.0.1:8443 and 2 more"; `addresses` are not empty.
[[nodiscard]] std::string serving_on(const std::vector<std::string>& addresses);

// For a drain that began with `signal`.
[[nodiscard]] std::string draining_after(const std::string& signal);

// Lines `inherited`: sockets that nobody listens on, where connections would wait for ever.
void warn_of_inherited(const InheritedSockets& sockets, const Log& log);

}  // namespace tools
