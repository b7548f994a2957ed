// ServeSetting: what the connections of `serve` have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tools/http/access_log.h"
#include "tools/http/kept_responses.h"
#include "tools/http/response_head.h"
#include "tools/http/site.h"
#include "tools/ktls-bridge/address_limit.h"
#include "tools/ktls-bridge/origin.h"
#include "tools/ktls-bridge/serve_options.h"
#include "tools/ktls-bridge/tls_setting.h"
#include "userspace/bridge/fixed_files.h"
#include "userspace/handshake/host_names.h"

namespace tools {

// What every connection of every thread shares.
//   sites            the default one, then those of `names`
//   redirect_policy  of what is answered over plain HTTP
//   access_log       null: none
struct ServeSetting {
  const ServeOptions& options;
  const TlsSetting& tls;
  const http::SitePolicy& policy;
  const http::SitePolicy& redirect_policy;
  const std::vector<http::Site>& sites;
  const tls::HostNames& names;
  AddressLimit& addresses;
  http::AccessLog* access_log = nullptr;
  std::uint16_t https_port = 443;  // where plain HTTP is sent to

  // Of every connection, over TLS or not.
  [[nodiscard]] OriginSetting origin() const {
    return {.accept_proxy = options.accept_proxy, .timeout = options.tls.handshake_timeout};
  }
  // The index of the site that a client means by its Host field; 0 where no host has that name. By
  // its server name a client means the site of ConnectionFacts::host.
  [[nodiscard]] std::size_t site_of(std::string_view name) const;
};

// What the connections of one thread share: no other thread sees it. What it answers by view is not
// kept over a co_await, since the next connection may ask for something else.
struct ServeThread {
  http::KeptResponses kept;
  http::DateCache dates;
  bridge::FixedFiles fixed_files;
};
[[nodiscard]] ServeThread& this_thread();

}  // namespace tools
