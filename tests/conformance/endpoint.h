// Endpoint: the side of a cell that is tested: our handshake, both directions installed in the
// kernel, and application data by the calls that the cell names.
#pragma once

#include <cstdint>

#include "ktls/base/result.h"
#include "ktls/core/capability.h"
#include "tests/conformance/cell.h"
#include "tests/conformance/key_log.h"

namespace conformance {

//   *_sequence        what the kernel says at the end of the number of the next record
//   control_records   records that were no application data: tickets, close_notify
//   times_given_way   how often the receiving call left a record to recvmsg
struct EndpointReport {
  std::uint64_t transmit_sequence = 0;
  std::uint64_t receive_sequence = 0;
  std::uint64_t control_records = 0;
  std::uint64_t times_given_way = 0;
};

// Both directions run in the kernel, or it is an error. Waits until the conversation is over, or
// `fd` is shut down. `keys` is told the secrets.
[[nodiscard]] ktls::Result<EndpointReport> run_endpoint(const Cell& cell, int fd,
                                                        const Surroundings& surroundings,
                                                        const ktls::Capability& capability,
                                                        KeyLog& keys);

}  // namespace conformance
