// Names of the headers that can be sent.

#include "tools/ktls-bridge/proxy_flags.h"

#include <map>
#include <string>

#include <CLI/CLI.hpp>

namespace tools {

void add_accept_proxy_flag(CLI::App& app, bool& accept_proxy) {
  app.add_flag("--accept-proxy", accept_proxy,
               "Take each client's address from a PROXY protocol header (v1 or v2), and refuse "
               "connections without one: for a balancer in front, and for no one else");
}

void add_send_proxy_flag(CLI::App& app, std::optional<ProxyHeader>& send_proxy) {
  static const std::map<std::string, ProxyHeader> kHeaders = {
      {"v1", ProxyHeader::kText},
      {"v2", ProxyHeader::kBinary},
      {"v2-addresses", ProxyHeader::kAddresses}};
  app.add_option_function<std::string>(
         "--send-proxy", [&send_proxy](const std::string& text) { send_proxy = kHeaders.at(text); },
         "Begin each connection to --to with a PROXY protocol header that names the client: v1 "
         "(text), v2 (and what there is to tell of TLS), v2-addresses (without that)")
      ->check(CLI::IsMember({"v1", "v2", "v2-addresses"}).description(""))
      ->type_name("v1|v2|v2-addresses");
}

}  // namespace tools
