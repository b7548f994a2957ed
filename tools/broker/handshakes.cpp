// Who has to go.

#include "tools/broker/handshakes.h"

#include <algorithm>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace tools {
namespace {

// So many are asked, from the oldest on: a flood of silent peers has one among the first.
constexpr std::size_t kAskedMax = 64;

// What is no TCP connection comes from a program of this machine, which has no right before peers.
bool is_silent(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
         info.tcpi_bytes_received == 0;
}

}  // namespace

Handshakes::UnderWay::UnderWay(Handshakes& handshakes, Cancellation& cancellation, int fd)
    : handshakes_(handshakes), cancellation_(cancellation), fd_(fd) {
  if (handshakes_.size() >= handshakes_.max_) handshakes_.drop_one();
  place_ = handshakes_.under_way_.insert(handshakes_.under_way_.end(), this);
}

Handshakes::UnderWay::~UnderWay() {
  if (place_ != handshakes_.under_way_.end()) handshakes_.under_way_.erase(place_);
}

void Handshakes::drop_one() {
  auto chosen = under_way_.begin();
  std::size_t asked = 0;
  for (auto each = under_way_.begin(); each != under_way_.end() && asked < kAskedMax; ++each) {
    ++asked;
    if (!is_silent((*each)->fd_)) continue;
    chosen = each;
    break;
  }
  if (chosen == under_way_.end()) return;
  UnderWay& dropped = **chosen;
  under_way_.erase(chosen);
  dropped.place_ = under_way_.end();
  dropped.cancellation_.cancel();
}

}  // namespace tools
