// The byte that nobody reads.

#include "userspace/bridge/feed.h"

#include <array>
#include <cerrno>
#include <cstdint>

#include <sys/socket.h>

namespace bridge {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

Result<Feed> make_feed() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ktls::fail(Error::system(errno, "socketpair"));
  }
  Feed feed{.ours = UniqueFd(ends[0]), .theirs = UniqueFd(ends[1])};
  const std::uint8_t unread = 0;
  if (::send(feed.theirs.get(), &unread, sizeof unread, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return ktls::fail(Error::system(errno, "send"));
  }
  return feed;
}

void empty_feed(int ours) {
  std::array<std::uint8_t, 4096> unwanted{};
  while (::recv(ours, unwanted.data(), unwanted.size(), MSG_DONTWAIT) > 0) {
  }
}

}  // namespace bridge
