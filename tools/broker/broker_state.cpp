#include "tools/broker/broker_state.h"

namespace tools {

BrokerState::BrokerState(bridge::Loop& the_loop, const BrokerOptions& the_options,
                         const TlsSetting& server, const TlsSetting& client,
                         std::size_t connections_max)
    : loop(the_loop),
      options(the_options),
      log(server.log()),
      as_server(server),
      as_client(client),
      open(the_loop),
      running(the_loop),
      channels(kChannelsOfUserMax, kChannelsMax),
      connections(the_options.max_per_client, connections_max),
      addresses(the_options.max_handshakes_per_address),
      handshakes(the_options.max_handshakes),
      handed_out(the_loop, server.log()) {}

}  // namespace tools
