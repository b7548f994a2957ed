// How an address becomes a socket for each thread.

#include "tools/ktls-bridge/listeners.h"

#include <cerrno>
#include <cstddef>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tools {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

void SocketFiles::add(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;  // removed already
  files_.push_back({path, status.st_dev, status.st_ino});
}

bool SocketFiles::is_ours(const File& file) {
  struct stat status {};
  return ::lstat(file.path.c_str(), &status) == 0 && status.st_dev == file.device &&
         status.st_ino == file.inode;
}

void SocketFiles::remove() {
  for (const File& file : std::exchange(files_, {})) {
    if (is_ours(file)) ::unlink(file.path.c_str());
  }
}

void SocketFiles::rename(const std::string& suffix) {
  for (File& file : files_) {
    const std::string renamed = file.path + suffix;
    if (is_ours(file) && ::rename(file.path.c_str(), renamed.c_str()) == 0) file.path = renamed;
  }
}

std::vector<std::string> socket_paths(const std::vector<Address>& addresses) {
  std::vector<std::string> paths;
  for (const Address& each : addresses) {
    if (each.kind == Address::Kind::kUnix) paths.push_back(each.path);
  }
  return paths;
}

Result<std::vector<std::vector<UniqueFd>>> make_listeners(const std::vector<Address>& addresses,
                                                          unsigned threads,
                                                          SocketFiles& socket_files) {
  std::vector<std::vector<UniqueFd>> per_thread(threads);
  for (const Address& address : addresses) {
    KTLS_TRY(std::vector<SocketAddress> found, resolve(address, true));
    for (SocketAddress& each : found) {
      const bool is_shared = threads > 1 && each.family() != AF_UNIX;
      if (is_shared) {
        // SO_REUSEPORT would join a port that another program of this user listens on. This one
        // does not listen: whoever came before it is closed again would be reset.
        KTLS_TRY(const UniqueFd alone, bind_to(each, false));
        KTLS_TRY(const SocketAddress bound, local_address(alone.get()));
        each.set_port(bound.port());
      }
      KTLS_TRY(UniqueFd first, listen_on(each, is_shared));
      if (each.family() == AF_UNIX) socket_files.add(address.path);
      for (std::size_t i = 1; i < per_thread.size(); ++i) {
        if (is_shared) {
          KTLS_TRY(UniqueFd next, listen_on(each, true));
          per_thread[i].push_back(std::move(next));
        } else {
          UniqueFd copy(::fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
          if (!copy) return ktls::fail(Error::system(errno, "fcntl(F_DUPFD_CLOEXEC)"));
          per_thread[i].push_back(std::move(copy));
        }
      }
      per_thread[0].push_back(std::move(first));
    }
  }
  return per_thread;
}

}  // namespace tools
