// Which copies there are, and whose channels are still somebody's.

#include "tools/broker/listened_sockets.h"

#include <algorithm>

#include "tools/broker/relays.h"
#include "userspace/bridge/closing.h"

namespace tools {

using bridge::Task;
using ktls::Result;

ListenedSockets::Copy::Copy(ListenedSockets& all, int socket, int channel) : all_(all) {
  if (const auto cookie = cookie_of(socket)) entry_ = all_.channels_.emplace(*cookie, channel);
}

ListenedSockets::Copy::~Copy() {
  if (entry_) all_.channels_.erase(*entry_);
  all_.closed_.ring();
}

Task<Result<void>> ListenedSockets::abandoned_are_closed(bridge::Loop& loop, bridge::Scope& scope,
                                                         std::uint64_t cookie) const {
  const auto is_abandoned = [](const auto& each) { return bridge::is_gone(each.second); };
  for (;;) {
    const auto [first, last] = channels_.equal_range(cookie);
    if (std::none_of(first, last, is_abandoned)) co_return Result<void>();
    auto rung = co_await closed_.wait(loop, scope);
    if (!rung) co_return rung;
  }
}

}  // namespace tools
