// One refusal for all that listens, so that nobody is turned away unseen.

#include "tools/ktls-bridge/admission.h"

#include <string>

#include "tools/ktls-bridge/connection_metrics.h"
#include "userspace/bridge/closing.h"

namespace tools {

AddressLimit::Place admit(AddressLimit& addresses, const TlsSetting& setting,
                          const ktls::UniqueFd& accepted, const SocketAddress& peer) {
  AddressLimit::Place place = addresses.take(peer);
  if (!place) {
    bridge::reset_on_close(accepted.get());
    count_refusal(setting.counts(), metrics::Refusal::kMaxPerAddress);
    setting.log().write(LogLevel::kWarning, "refused",
                        {{"peer", peer.text()}, {"reason", std::string("max_per_address")}});
  }
  return place;
}

}  // namespace tools
