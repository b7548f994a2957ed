// How an address becomes a socket for each thread.

#include "tools/ktls-bridge/listeners.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>

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

namespace {

using PerThread = std::vector<std::vector<UniqueFd>>;

// One socket for all threads.
Result<void> add_copies(UniqueFd socket, PerThread& per_thread) {
  for (std::size_t i = 1; i < per_thread.size(); ++i) {
    UniqueFd copy(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return ktls::fail(Error::system(errno, "fcntl(F_DUPFD_CLOEXEC)"));
    per_thread[i].push_back(std::move(copy));
  }
  per_thread[0].push_back(std::move(socket));
  return {};
}

// `address` with a port that nobody has: SO_REUSEPORT would join one that another program of this
// user listens on. The socket that tells does not listen: whoever came before it is closed again
// would be reset.
Result<SocketAddress> find_port(SocketAddress address) {
  KTLS_TRY(const UniqueFd alone, bind_to(address, false));
  KTLS_TRY(const SocketAddress bound, local_address(alone.get()));
  address.set_port(bound.port());
  return address;
}

// One for each thread, on the same port.
Result<void> add_shared(const SocketAddress& wanted, PerThread& per_thread) {
  KTLS_TRY(const SocketAddress address, find_port(wanted));
  for (std::vector<UniqueFd>& sockets : per_thread) {
    KTLS_TRY(UniqueFd next, listen_on(address, true));
    sockets.push_back(std::move(next));
  }
  return {};
}

Result<void> add_bound(const Address& address, const SocketAddress& resolved,
                       SocketFiles& socket_files, PerThread& per_thread) {
  if (per_thread.size() > 1 && resolved.family() != AF_UNIX) {
    return add_shared(resolved, per_thread);
  }
  KTLS_TRY(UniqueFd socket, listen_on(resolved, false));
  if (resolved.family() == AF_UNIX) socket_files.add(address.path);
  return add_copies(std::move(socket), per_thread);
}

// Whether the path is in use; an error where no socket file could be made. None is: a service may
// be about to.
Result<bool> check_path(const SocketAddress& address, const std::string& path) {
  const auto failed = [&address](int sys_errno) {
    return ktls::fail(Error::system(sys_errno, "cannot listen on " + address.text()));
  };
  struct stat status {};
  const bool is_there = ::lstat(path.c_str(), &status) == 0;
  if (is_there && !S_ISSOCK(status.st_mode)) return failed(EADDRINUSE);
  const std::string folder = std::filesystem::path(path).parent_path();
  if (::access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) != 0) return failed(errno);
  return is_there;  // it may be left over, and is replaced then
}

// Whether the port is in use; an error where it could not be bound for another reason.
Result<bool> check_port(const SocketAddress& address) {
  const auto bound = bind_to(address, false);
  if (!bound && bound.error().sys_errno != EADDRINUSE) return ktls::fail(bound.error());
  return !bound.has_value();
}

Result<void> add_inherited(std::vector<UniqueFd> sockets, PerThread& per_thread) {
  for (UniqueFd& each : sockets) {
    if (auto added = add_copies(std::move(each), per_thread); !added) return added;
  }
  return {};
}

}  // namespace

std::vector<std::string> socket_paths(const std::vector<Address>& addresses) {
  std::vector<std::string> paths;
  for (const Address& each : addresses) {
    if (each.kind == Address::Kind::kUnix) paths.push_back(each.path);
  }
  return paths;
}

Result<PerThread> make_listeners(const std::vector<Address>& addresses, unsigned threads,
                                 SocketFiles& socket_files, InheritedSockets& inherited) {
  PerThread per_thread(threads);
  for (const Address& address : addresses) {
    if (address.is_inherited()) {
      KTLS_TRY(std::vector<UniqueFd> sockets, inherited.take(address));
      auto added = add_inherited(std::move(sockets), per_thread);
      if (!added) return ktls::fail(std::move(added).error());
      continue;
    }
    KTLS_TRY(const std::vector<SocketAddress> found, resolve(address, true));
    for (const SocketAddress& each : found) {
      auto added = add_bound(address, each, socket_files, per_thread);
      if (!added) return ktls::fail(std::move(added).error());
    }
  }
  return per_thread;
}

Result<std::vector<SocketAddress>> check_addresses(const std::vector<Address>& addresses) {
  std::vector<SocketAddress> in_use;
  for (const Address& address : addresses) {
    if (address.is_inherited()) continue;
    KTLS_TRY(const std::vector<SocketAddress> found, resolve(address, true));
    for (const SocketAddress& each : found) {
      KTLS_TRY(const bool is_in_use,
               each.family() == AF_UNIX ? check_path(each, address.path) : check_port(each));
      if (is_in_use) in_use.push_back(each);
    }
  }
  return in_use;
}

void remark_in_use(std::string_view command, const std::vector<SocketAddress>& in_use) {
  for (const SocketAddress& each : in_use) {
    std::fprintf(stderr, "ktls-bridge %.*s: %s is in use, by the service that runs or by another\n",
                 static_cast<int>(command.size()), command.data(), each.text().c_str());
  }
}

}  // namespace tools
