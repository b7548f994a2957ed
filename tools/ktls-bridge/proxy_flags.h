// The flags of the PROXY protocol.
#pragma once

#include <cstdint>
#include <optional>

namespace CLI {
class App;
}

namespace tools {

// What a service behind us is sent before everything else.
enum class ProxyHeader : std::uint8_t {
  kText,       // version 1
  kBinary,     // version 2, with what there is to tell of TLS
  kAddresses,  // version 2, with addresses alone
};

// Each adds a flag to `app`, whose target is borrowed until the command line is parsed.
void add_accept_proxy_flag(CLI::App& app, bool& accept_proxy);                    // --accept-proxy
void add_send_proxy_flag(CLI::App& app, std::optional<ProxyHeader>& send_proxy);  // --send-proxy

}  // namespace tools
