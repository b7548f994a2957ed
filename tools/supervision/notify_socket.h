// NotifySocket: where a service manager hears from its services; the protocol of sd_notify(3).
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"

namespace tools {

class NotifySocket {
 public:
  // `address` is that of NOTIFY_SOCKET: a path, or an abstract name after "@". Errors:
  // kUnsupported for any other (vsock: there is one for virtual machines), kSystem.
  [[nodiscard]] static ktls::Result<NotifySocket> open(std::string_view address);

  // One datagram of lines NAME=VALUE. The manager may be busy, or be starting anew: waits for a
  // second at most. Error: kSystem.
  [[nodiscard]] ktls::Result<void> send(std::string_view message) const;

 private:
  NotifySocket(ktls::UniqueFd fd, const SocketAddress& address)
      : fd_(std::move(fd)), address_(address) {}

  ktls::UniqueFd fd_;
  SocketAddress address_;
};

}  // namespace tools
