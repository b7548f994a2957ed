// admit(): whether an accepted connection is served, over TLS or not.
#pragma once

#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/address_limit.h"
#include "tools/ktls-bridge/tls_setting.h"

namespace tools {

// The place of `accepted` among the connections of its `peer`. Where there is none left, the
// refusal is logged and counted, and closing the descriptor resets the connection.
[[nodiscard]] AddressLimit::Place admit(AddressLimit& addresses, const TlsSetting& setting,
                                        const ktls::UniqueFd& accepted, const SocketAddress& peer);

}  // namespace tools
