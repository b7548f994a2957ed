// What the kernel knows of the bytes that a client has taken.

#include "tools/ktls-bridge/client_pace.h"

#include <utility>

// Not <netinet/tcp.h>, whose tcp_info ends before tcpi_bytes_acked.
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace tools {

using std::chrono::milliseconds;

namespace {
constexpr milliseconds kNoTime(0);
}  // namespace

int ClientPace::outstanding() const {
  int size = 0;
  return ::ioctl(fd_, SIOCOUTQ, &size) == 0 ? size : 0;
}

ClientPace::Look ClientPace::look() const {
  Look look{.time = loop_.now(), .acknowledged = std::nullopt, .outstanding = outstanding()};
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    look.acknowledged = info.tcpi_bytes_acked;
  }
  return look;
}

bool ClientPace::takes_enough(const Look& before, const Look& now) const {
  if (!before.acknowledged || !now.acknowledged) return now.outstanding != before.outstanding;
  const std::uint64_t taken = *now.acknowledged - *before.acknowledged;
  const auto elapsed = std::chrono::duration<double>(now.time - before.time);
  return taken != 0 &&
         static_cast<double>(taken) >= static_cast<double>(pace_.rate_least) * elapsed.count();
}

void ClientPace::watch(bridge::Scope& scope) {
  // Nothing was sent since the last piece: it has all of that, and the time since is not its own.
  // Who has never been slow is not asked.
  if (last_ && outstanding() == 0) {
    last_.reset();
    begun_.reset();
  }
  if (!begun_) begun_ = loop_.now();
  const auto elapsed = std::chrono::duration_cast<milliseconds>(loop_.now() - *begun_);
  const bool is_due = elapsed >= pace_.grace;
  scope.extend(is_due ? more().value_or(kNoTime) : pace_.grace - elapsed);
  scope.ask_at_deadline(*this);
}

std::optional<milliseconds> ClientPace::more() {
  const Look now = look();
  const auto before = std::exchange(last_, now);
  begun_ = now.time;
  // It has all that there was; whatever this waits for, it is not the client.
  const bool is_served = now.outstanding == 0;
  if (is_served) last_.reset();
  if (!before || is_served || takes_enough(*before, now)) return pace_.grace;
  return std::nullopt;
}

}  // namespace tools
