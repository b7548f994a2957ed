#include "tools/preload/channel.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/preload/environment.h"
#include "tools/preload/replacing.h"
#include "tools/preload/setting.h"
#include "tools/preload/wrapped.h"
#include "userspace/broker/client_message.h"

namespace preload {
namespace {

int g_channel = -1;
bool g_has_path = false;

bool is_channel(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

// What the environment says is checked: the program before this one may have closed it.
int inherited_channel() {
  const char* const text = std::getenv(kChannelVariable);
  if (text == nullptr) return -1;
  int fd = -1;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), fd);
  return error == std::errc() && *end == '\0' && is_channel(fd) ? fd : -1;
}

int connected_channel() {
  const std::string_view path = broker::broker_path();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -1;
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

// One whose other end nobody has, so that requests fail: the program is to have the broker that it
// was given, and no other one.
int dead_channel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  ::close(ends[1]);
  return ends[0];
}

// What to speak on where no channel came along; -1: each request looks for the broker by itself.
int make_channel() {
  const bool had_one = std::getenv(kChannelVariable) != nullptr;
  const bool has_path = std::getenv(broker::kPathVariable) != nullptr;
  if (had_one && !has_path) return dead_channel();
  // For the programs that this one runs, and for the next broker.
  ::setenv(broker::kPathVariable, broker::broker_path(), 0);
  return connected_channel();
}

void tell_number() {
  std::array<char, 16> text{};
  std::to_chars(text.data(), text.data() + text.size() - 1, g_channel);
  ::setenv(kChannelVariable, text.data(), 1);
}

}  // namespace

void open_channel() {
  const Changing changing;
  const int inherited = inherited_channel();
  const int made = inherited >= 0 ? -1 : make_channel();
  g_has_path = std::getenv(broker::kPathVariable) != nullptr;
  if (inherited >= 0) {
    Wrapped* const own = make(Kind::kInternal);
    if (own == nullptr || !enter(inherited, *own)) return;
    g_channel = inherited;
  } else {
    g_channel = made < 0 ? -1 : make_internal(made);
    if (g_channel < 0) {
      ::unsetenv(kChannelVariable);
      return;
    }
    tell_number();
  }
  // Programs that this one runs have it as well.
  ::fcntl(g_channel, F_SETFD, 0);
  broker::use_channel(g_channel);
}

int channel() {
  return g_channel;
}

bool has_broker_path() {
  return g_has_path;
}

void move_channel(int fd) {
  g_channel = fd;
  remember_channel(fd);
  broker::use_channel(fd);
}

}  // namespace preload
