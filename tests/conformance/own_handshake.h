// Our own handshake, on a loop of its own: what the endpoint and our own peer begin with.
#pragma once

#include <memory>

#include "ktls/base/result.h"
#include "tests/conformance/cell.h"
#include "tests/conformance/key_log.h"
#include "userspace/handshake/openssl/handshake.h"
#include "userspace/io/loop.h"

namespace conformance {

// `finished` knows nothing of the loop; a Connection that is adopted does, and borrows it.
struct Established {
  std::unique_ptr<bridge::Loop> loop;
  tls::Handshake::Finished finished;
};

// Restricted to the cell's version and suite, in `role`. Waits until it is done, or `fd` is shut
// down. Certificates are not verified: what is tested begins after them. `keys` may be null.
// Errors: those of bridge::establish().
[[nodiscard]] ktls::Result<Established> establish(const Cell& cell, tls::Role role, int fd,
                                                  const Surroundings& surroundings, KeyLog* keys);

}  // namespace conformance
