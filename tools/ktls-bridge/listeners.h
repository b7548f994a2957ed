// Listening sockets for several threads, and the files of those that are unix sockets.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"

namespace tools {

// The socket files that were made, and are removed when nobody listens on them any more.
class SocketFiles {
 public:
  SocketFiles() = default;
  SocketFiles(const SocketFiles&) = delete;
  SocketFiles& operator=(const SocketFiles&) = delete;
  ~SocketFiles() { remove(); }

  void add(std::string path) { paths_.push_back(std::move(path)); }
  void remove();

 private:
  std::vector<std::string> paths_;
};

// For each of `threads` the sockets that listen on all `addresses`, in the same order. Each thread
// has a socket of its own, among which the kernel spreads the connections. A unix socket cannot be
// shared so: all threads accept from the one there is. Errors: kInvalidArgument for a name that
// does not resolve, kSystem.
[[nodiscard]] ktls::Result<std::vector<std::vector<ktls::UniqueFd>>> make_listeners(
    const std::vector<Address>& addresses, unsigned threads, SocketFiles& socket_files);

}  // namespace tools
