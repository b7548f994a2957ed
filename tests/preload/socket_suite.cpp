#include "tests/preload/socket_suite.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace suite {
namespace {

constexpr unsigned kCaseSeconds = 30;
constexpr size_t kReadSize = 65536;
// No status that a case expects of a child.
constexpr int kGaveUp = 90;

int ports[kPorts + 1];
std::string line;

struct Bit {
  unsigned bit;
  const char* name;
};

template <size_t kCount>
std::string names_of(const Bit (&table)[kCount], unsigned bits) {
  std::string names;
  for (const Bit& each : table) {
    if ((bits & each.bit) != 0) {
      names += names.empty() ? "" : "|";
      names += each.name;
      bits &= ~each.bit;
    }
  }
  if (bits != 0) {
    names += "|" + std::to_string(bits);
  }
  return names.empty() ? "nothing" : names;
}

void print_line(const char* name) {
  const std::string whole = std::string(name) + ":" + line + "\n";
  if (::write(STDOUT_FILENO, whole.data(), whole.size()) != ssize_t(whole.size())) {
    ::_exit(2);
  }
}

const char* running = "";

// What the case before has left behind is gone soon, but where its processes were killed not at
// once.
void await_free_ports() {
  for (int index = 0; index < kPorts; ++index) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(uint16_t(port(index)));
    const int on = 1;
    for (int attempt = 0; attempt < kPatienceMs / 10; ++attempt) {
      // Of all addresses, also those of IPv4.
      const int fd = tcp_socket(AF_INET6);
      must(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
      const int result = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      ::close(fd);
      if (result == 0) {
        break;
      }
      ::usleep(10'000);
    }
  }
}

}  // namespace

int port(int index) {
  return ports[index];
}

int unserved_port() {
  return ports[kPorts];
}

void read_ports(const char* text) {
  for (int& each : ports) {
    char* end = nullptr;
    each = int(std::strtol(text, &end, 10));
    text = *end == ',' ? end + 1 : end;
  }
}

void say(std::string_view what, std::string_view value) {
  line += " " + std::string(what) + "=" + std::string(value);
}

void say(std::string_view what, long value) {
  say(what, std::to_string(value));
}

void give_up(std::string_view what) {
  line += " GAVE UP at " + std::string(what) + ": " + error_name(errno);
  print_line(running);
  ::_exit(kGaveUp);
}

void leave(int status) {
  ::_exit(status);
}

bool run_case(const Case& one) {
  running = one.name;
  line.clear();
  const pid_t pid = must(::fork(), "fork");
  if (pid == 0) {
    ::setpgid(0, 0);
    ::alarm(kCaseSeconds);
    await_free_ports();
    one.run();
    print_line(one.name);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  // What the case has left behind.
  ::kill(-pid, SIGKILL);
  if (WIFSIGNALED(status)) {
    line = std::string(" GAVE UP by signal ") + ::strsignal(WTERMSIG(status));
    print_line(one.name);
  }
  return status == 0;
}

std::string error_name(int number) {
  const char* name = ::strerrorname_np(number);
  return name == nullptr ? std::to_string(number) : name;
}

std::string outcome(long result) {
  return result < 0 ? error_name(errno) : std::to_string(result);
}

int must(long result, std::string_view what) {
  if (result < 0) {
    give_up(what);
  }
  return int(result);
}

int tcp_socket(int family, int flags) {
  return must(::socket(family, SOCK_STREAM | flags, 0), "socket");
}

void bind_to(int fd, int index, int family, bool dual) {
  const int on = 1;
  const int only = dual ? 0 : 1;
  must(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  if (family == AF_INET6) {
    must(::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only), "IPV6_V6ONLY");
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(uint16_t(port(index)));
    address.sin6_addr = dual ? in6addr_any : in6addr_loopback;
    must(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    return;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port(index)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
}

int listener(int index, int flags, int backlog) {
  const int fd = tcp_socket(AF_INET, flags);
  bind_to(fd, index, AF_INET);
  must(::listen(fd, backlog), "listen");
  return fd;
}

int start_connect(int fd, int family, int to_port, const char* name) {
  addrinfo hints{};
  addrinfo* found = nullptr;
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = family == AF_INET6 ? AI_V4MAPPED | AI_ALL : 0;
  const std::string service = std::to_string(to_port);
  if (::getaddrinfo(name, service.c_str(), &hints, &found) != 0) {
    give_up("getaddrinfo");
  }
  const int result = ::connect(fd, found->ai_addr, found->ai_addrlen);
  const int number = errno;
  ::freeaddrinfo(found);
  errno = number;
  return result;
}

int connected(int index) {
  const int fd = tcp_socket(AF_INET);
  must(start_connect(fd, AF_INET, port(index)), "connect");
  return fd;
}

Pair pair_of(int index) {
  Pair pair;
  pair.listener = listener(index);
  pair.client = connected(index);
  pair.server = must(::accept(pair.listener, nullptr, nullptr), "accept");
  return pair;
}

void close_pair(const Pair& pair) {
  ::close(pair.client);
  ::close(pair.server);
  ::close(pair.listener);
}

void set_blocking(int fd, bool blocking) {
  const int flags = must(::fcntl(fd, F_GETFL), "F_GETFL");
  must(::fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK), "F_SETFL");
}

short await(int fd, short events, int timeout_ms) {
  pollfd one{fd, events, 0};
  must(::poll(&one, 1, timeout_ms), "poll");
  return one.revents;
}

std::string poll_names(short events) {
  static constexpr Bit kBits[] = {{POLLIN, "IN"},   {POLLOUT, "OUT"}, {POLLRDHUP, "RDHUP"},
                                  {POLLERR, "ERR"}, {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"},
                                  {POLLPRI, "PRI"}};
  return names_of(kBits, unsigned(events));
}

std::string epoll_names(unsigned events) {
  static constexpr Bit kBits[] = {{EPOLLIN, "IN"},   {EPOLLOUT, "OUT"}, {EPOLLRDHUP, "RDHUP"},
                                  {EPOLLERR, "ERR"}, {EPOLLHUP, "HUP"}, {EPOLLPRI, "PRI"}};
  return names_of(kBits, events);
}

std::string pattern(unsigned seed, size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = char(state >> 56);
  }
  return bytes;
}

std::string hash(std::string_view data) {
  uint64_t value = 14695981039346656037ULL;  // FNV-1a
  for (const char byte : data) {
    value = (value ^ uint8_t(byte)) * 1099511628211ULL;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0) {
      return false;
    }
    data.remove_prefix(size_t(written));
  }
  return true;
}

std::string read_some(int fd, size_t size) {
  std::string data;
  std::vector<char> part(std::min(size, kReadSize));
  while (data.size() < size) {
    const ssize_t got = ::read(fd, part.data(), std::min(part.size(), size - data.size()));
    if (got <= 0) {
      break;
    }
    data.append(part.data(), size_t(got));
  }
  return data;
}

void listen_without_accepting() {
  const int silent = tcp_socket(AF_INET);
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(unserved_port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(::setsockopt(silent, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
  must(::bind(silent, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
  must(::listen(silent, 0), "listen");
}

std::string read_all(int fd) {
  return read_some(fd, SIZE_MAX);
}

std::string talk(int one, int other) {
  for (const auto& [from, to, word] :
       {std::tuple(one, other, "a question"), std::tuple(other, one, "and a reply")}) {
    if (!write_all(from, word)) {
      return "write " + error_name(errno);
    }
    // It may be a socket that does not block.
    await(to, POLLIN);
    if (const std::string got = read_some(to, std::strlen(word)); got != word) {
      return "read " + std::to_string(got.size()) + " " + error_name(errno);
    }
  }
  return "both_ways";
}

pid_t child(const std::function<int()>& run) {
  const pid_t pid = must(::fork(), "fork");
  if (pid == 0) {
    leave(run());
  }
  return pid;
}

std::string ending(pid_t pid) {
  int status = 0;
  must(::waitpid(pid, &status, 0), "waitpid");
  return WIFEXITED(status) ? "exit_" + std::to_string(WEXITSTATUS(status))
                           : "signal_" + std::to_string(WTERMSIG(status));
}

std::string own_path() {
  char path[4096];
  const int size = must(::readlink("/proc/self/exe", path, sizeof path), "readlink");
  return {path, size_t(size)};
}

}  // namespace suite
