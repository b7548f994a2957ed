// Running a cell: endpoint, wire and peer, a thread each.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ktls/core/capability.h"
#include "tests/conformance/cell.h"

namespace conformance {

// {"problems": [...], "seconds": ..., and what was seen: "suite", records and sequence numbers of
// both directions}. No problem means: the peers agreed on version and suite, both got exactly the
// bytes that the other sent, and close_notify; every record on the wire opened with the derived
// keys at its number; and the kernel ends at the same numbers.
[[nodiscard]] nlohmann::json run_cell(const Cell& cell, const Surroundings& surroundings,
                                      const ktls::Capability& capability);

}  // namespace conformance
