// One refusal for all that listens, so that nobody is turned away unseen.

#include "tools/ktls-bridge/admission.h"

#include <string>

#include "userspace/bridge/closing.h"

namespace tools {

AddressLimit::Place admit(const ServeSetting& setting, const ktls::UniqueFd& accepted,
                          const SocketAddress& peer) {
  AddressLimit::Place place = setting.addresses.take(peer);
  if (!place) {
    bridge::reset_on_close(accepted.get());
    setting.tls.log().write(LogLevel::kWarning, "refused",
                            {{"peer", peer.text()}, {"reason", std::string("max_per_address")}});
  }
  return place;
}

}  // namespace tools
