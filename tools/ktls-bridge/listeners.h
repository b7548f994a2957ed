// Listening sockets for several threads, and the files of those that are unix sockets.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"
#include "tools/supervision/inherited_sockets.h"

namespace tools {

// The socket files that were made, and are removed when nobody listens on them any more.
class SocketFiles {
 public:
  SocketFiles() = default;
  SocketFiles(const SocketFiles&) = delete;
  SocketFiles& operator=(const SocketFiles&) = delete;
  ~SocketFiles() { remove(); }

  // `path` names a socket that was just bound.
  void add(const std::string& path);
  // Those that are still ours: a successor may have put its own in the place of one.
  void remove();
  // Adds to the names of those, in place of whatever was there.
  void rename(const std::string& suffix);

 private:
  struct File {
    std::string path;
    dev_t device;
    ino_t inode;
  };
  static bool is_ours(const File& file);

  std::vector<File> files_;
};

// Of those that are unix sockets.
[[nodiscard]] std::vector<std::string> socket_paths(const std::vector<Address>& addresses);

// For each of `threads` the sockets that listen on all `addresses`, in the same order. Each thread
// has a socket of its own, among which the kernel spreads the connections. A unix socket cannot be
// shared so, nor can one that is taken from `inherited`: all threads accept from the one there is.
// Errors: kInvalidArgument for a name that does not resolve, kUnsupported for a socket that was not
// inherited, kSystem.
[[nodiscard]] ktls::Result<std::vector<std::vector<ktls::UniqueFd>>> make_listeners(
    const std::vector<Address>& addresses, unsigned threads, SocketFiles& socket_files,
    InheritedSockets& inherited);

// Whether all `addresses` could be listened on, without doing so, and beside a service that does:
// answers those that are in use. A socket to be inherited is not looked for.
// Errors: kInvalidArgument for a name that does not resolve, kSystem.
[[nodiscard]] ktls::Result<std::vector<SocketAddress>> check_addresses(
    const std::vector<Address>& addresses);

// A line for each, "ktls-bridge COMMAND: …", on standard error.
void remark_in_use(std::string_view command, const std::vector<SocketAddress>& in_use);

}  // namespace tools
