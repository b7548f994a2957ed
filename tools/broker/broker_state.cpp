// What there may be of everything, by the number of descriptors that it takes.

#include "tools/broker/broker_state.h"

#include <algorithm>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace tools {
namespace {

// Of the loop and the log, of what is borrowed for a moment, and of strangers.
constexpr std::size_t kDescriptorsBesides = 40;
// A connection has its socket, two ends of a stream, and the socket of its answer.
constexpr std::size_t kDescriptorsPerConnection = 4;
constexpr std::size_t kDescriptorsPerListener = 2;  // its socket, and that of its answers
constexpr std::size_t kDescriptorsPerRequest = 2;   // what it is about, and that of its answer
// More than programs of one machine ask for; what descriptors allow is less as a rule.
constexpr std::size_t kChannelsMax = 4096;
constexpr std::size_t kListenersMax = 1024;
constexpr std::size_t kRequestsMax = 512;  // of either kind
// One answer each, within ten seconds: enough to tell who is misconfigured.
constexpr std::size_t kStrangersOfUserMax = 4;
constexpr std::size_t kStrangersMax = 16;

// What one user may have of it, so that there is something left for others.
std::size_t share_of(std::size_t all) {
  return (all + 1) / 2;
}

// Of channels, most of which live for one request: a program that ends many connections at once
// wants one for each, and a request that is dropped costs a connection its orderly end.
std::size_t large_share_of(std::size_t all) {
  return all - all / 4;
}

std::size_t so_many(std::size_t descriptors, std::size_t each, std::size_t most) {
  return std::clamp<std::size_t>(descriptors / each, 1, most);
}

}  // namespace

// Two fifths for connections, a third for channels and those that wait to be one, a tenth for
// listening sockets, and a sixth for requests about connections that there are. Others need no
// places of their own: they have one of those at once, or are refused.
BrokerLimits limits_of(std::size_t open_files, std::size_t wanted) {
  const std::size_t spare = open_files - std::min(open_files, kDescriptorsBesides);
  return {.connections = so_many(spare * 2 / 5, kDescriptorsPerConnection, wanted),
          .channels = so_many(spare / 5, 1, kChannelsMax),
          .listeners = so_many(spare / 10, kDescriptorsPerListener, kListenersMax),
          .endings = so_many(spare / 12, kDescriptorsPerRequest, kRequestsMax),
          .controls = so_many(spare / 12, kDescriptorsPerRequest, kRequestsMax)};
}

BrokerState::BrokerState(bridge::Loop& the_loop, const BrokerOptions& the_options,
                         const TlsSetting& server, const TlsSetting& client,
                         const BrokerLimits& limits)
    : loop(the_loop),
      options(the_options),
      log(server.log()),
      as_server(server),
      as_client(client),
      open(the_loop),
      running(the_loop),
      channels(large_share_of(limits.channels), limits.channels),
      waiting_channels(share_of(limits.channels), large_share_of(limits.channels)),
      strangers(kStrangersOfUserMax, kStrangersMax),
      listeners(share_of(limits.listeners), limits.listeners),
      endings(share_of(limits.endings), limits.endings),
      controls(share_of(limits.controls), limits.controls),
      connections(the_options.max_per_client, limits.connections),
      addresses(the_options.max_handshakes_per_address),
      handshakes(the_options.max_handshakes),
      held(the_loop),
      handed_out(the_loop, server.log(), held),
      undelivered(kUndeliveredOfUserMax, kUndeliveredMax) {}

bool waits_for_peer_alone(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_state == TCP_FIN_WAIT2;
}

}  // namespace tools
