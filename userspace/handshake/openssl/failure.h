// Why a handshake failed, from what libssl left behind.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <openssl/ssl.h>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/ssl_connection.h"

namespace tls {

// The error of a handshake that libssl gave up: kPeerAlert if the peer sent one, kVerifyFailed with
// the reason and the name if its certificate was not accepted, else kHandshakeFailed. Drains the
// error queue.
[[nodiscard]] ktls::Error failure_of(const SslConnection& connection,
                                     std::optional<std::uint8_t> alert_received,
                                     std::optional<std::uint8_t> alert_sent);

// What a first record that is none looks like: "http request", SSLv2, or its first bytes.
[[nodiscard]] ktls::Error not_tls(std::span<const std::uint8_t> bytes);

}  // namespace tls
