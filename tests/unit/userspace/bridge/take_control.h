// take_control(): the receiving half of a connection whose other half a test sends by itself.
#pragma once

#include "ktls/base/result.h"
#include "userspace/bridge/connection.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace bridge::test {

// Gives data to `plain_fd` and acts on control records until the peer closes.
[[nodiscard]] Task<ktls::Result<void>> take_control(Connection& connection, Scope& scope,
                                                    int plain_fd);

}  // namespace bridge::test
