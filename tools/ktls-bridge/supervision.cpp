// Words for service managers, and for their people.

#include "tools/ktls-bridge/supervision.h"

namespace tools {

Supervisor supervisor_of(const Log& log) {
  return Supervisor([&log](const ktls::Error& error) {
    log.write(LogLevel::kWarning, "supervisor",
              {{"error", error.message()},
               {"hint", std::string("whoever started this process may take it for stuck")}});
  });
}

std::optional<Complaint> take_ready_descriptor(const ServiceOptions& options,
                                               Supervisor& supervisor) {
  if (!options.ready_fd) return std::nullopt;
  const auto taken = supervisor.take_ready_descriptor(*options.ready_fd);
  if (taken) return std::nullopt;
  return Complaint{kExitUsage, "--ready-fd: " + taken.error().message()};
}

std::string serving_on(const std::vector<std::string>& addresses) {
  std::string text = "serving on " + addresses.front();
  if (addresses.size() > 1) text += " and " + std::to_string(addresses.size() - 1) + " more";
  return text;
}

std::string draining_after(const std::string& signal) {
  return signal + ": no new connections; those that there are may come to their end";
}

void warn_of_inherited(const InheritedSockets& sockets, const Log& log) {
  for (const std::string& address : sockets.left()) {
    log.write(LogLevel::kWarning, "inherited",
              {{"address", address},
               {"hint", std::string("nobody listens there, and whoever connects waits for ever: "
                                    "name it by a flag, or take it out of the socket unit")}});
  }
}

}  // namespace tools
