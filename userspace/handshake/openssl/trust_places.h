// Where a client without a CA file of its own looks for certificates to trust.
#pragma once

#include <string>
#include <vector>

namespace tls {

// The file and the directories of the system's trust store, as libcrypto was built to look for
// them or the environment says; files of a directory are read when a certificate asks for them,
// long after the context is made.
[[nodiscard]] std::vector<std::string> system_trust_places();

}  // namespace tls
