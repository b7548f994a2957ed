#include "tools/broker/predecessor.h"

#include <algorithm>

#include <sys/socket.h>
#include <sys/un.h>

namespace tools {
namespace {

using ktls::UniqueFd;

// Without waiting. None: nobody listens there, or it has no room.
UniqueFd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (!fd || ::connect(fd.get(), generic, sizeof address) != 0) return {};
  return fd;
}

}  // namespace

bool pass_on(const std::string& path, const Message& message) {
  const UniqueFd channel = connect_to(path + kDrainingSuffix);
  return channel && send_request(channel.get(), message);
}

}  // namespace tools
