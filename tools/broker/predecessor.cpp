// A second channel, for one request.

#include "tools/broker/predecessor.h"

#include <algorithm>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace tools {
namespace {

using ktls::UniqueFd;

// Whether it can be the broker before us: another process of our user, or of root. Anybody may have
// made a file beside ours, where others can make some, and what is passed on has streams of
// programs.
bool is_broker(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid()) && peer.pid != ::getpid();
}

// Without waiting. None: nobody listens there, or it has no room.
UniqueFd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::ranges::copy(path, static_cast<char*>(address.sun_path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (!fd || ::connect(fd.get(), generic, sizeof address) != 0) return {};
  return is_broker(fd.get()) ? std::move(fd) : UniqueFd();
}

}  // namespace

bool pass_on(const std::string& path, const Message& message) {
  const UniqueFd channel = connect_to(path + kDrainingSuffix);
  return channel && send_request(channel.get(), message);
}

}  // namespace tools
