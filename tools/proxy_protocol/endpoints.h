// Endpoints: the two ends of a connection that somebody has in front of us, as a PROXY protocol
// header tells of them.
#pragma once

#include "tools/common/address.h"

namespace proxy_protocol {

// Of the same family: IPv4, IPv6, a unix socket, or none where they are not known.
struct Endpoints {
  tools::SocketAddress source;       // who has connected
  tools::SocketAddress destination;  // to what
};

// Of addresses as sockets have them. ::ffff:192.0.2.1, as which a socket that listens on [::] sees
// IPv4, is 192.0.2.1 again, and IPv4 becomes that where the other end is IPv6 indeed.
[[nodiscard]] Endpoints make_endpoints(const tools::SocketAddress& source,
                                       const tools::SocketAddress& destination);

}  // namespace proxy_protocol
