// What stands behind every proxy in scripts/bench proxy: a plaintext server on this machine that
// sends as many bytes as it is asked for (GET /N) and takes as many as it is told of (PUT /N).
//
// plain_sink prints its port, and ends with its standard input.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace bench {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20U;
constexpr std::size_t kHeadSizeMax = 8192;
// As in the load client: who takes much sleeps until much has come, so that the proxy does not pay
// for waking it.
constexpr std::uint64_t kLowWater = 524'288;
constexpr int kEventsMax = 64;

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// One connection: heads come in, bodies go out or are taken.
class Peer {
 public:
  explicit Peer(ktls::UniqueFd fd) : fd_(std::move(fd)) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool has_more_to_send() const { return !head_out_.empty() || to_send_ != 0; }

  // False: it is over.
  [[nodiscard]] bool receive(std::vector<char>& memory) {
    const ssize_t got = ::recv(fd(), memory.data(), memory.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    std::string_view bytes(memory.data(), static_cast<std::size_t>(got));
    while (!bytes.empty()) {
      if (to_take_ != 0) {
        const auto taken = std::min<std::uint64_t>(to_take_, bytes.size());
        bytes.remove_prefix(taken);
        take(taken);
      } else if (!read_head(bytes)) {
        return false;
      }
    }
    return true;
  }

  // False: it is over.
  [[nodiscard]] bool send(const std::vector<char>& memory) {
    while (has_more_to_send()) {
      const bool is_head = !head_out_.empty();
      const char* const from = is_head ? head_out_.data() : memory.data();
      const std::size_t size =
          is_head ? head_out_.size() : std::min<std::uint64_t>(to_send_, memory.size());
      const int more = is_head && to_send_ != 0 ? MSG_MORE : 0;
      const ssize_t sent = ::send(fd(), from, size, MSG_NOSIGNAL | more);
      if (sent < 0) return errno == EAGAIN;
      if (is_head) {
        head_out_.erase(0, static_cast<std::size_t>(sent));
      } else {
        to_send_ -= static_cast<std::uint64_t>(sent);
      }
    }
    return true;
  }

 private:
  void take(std::uint64_t size) {
    to_take_ -= size;
    await_bulk();
    if (to_take_ == 0) head_out_ += "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  }

  void await_bulk() {
    const int wanted = static_cast<int>(std::clamp<std::uint64_t>(to_take_, 1, kLowWater));
    if (wanted == low_water_) return;
    ::setsockopt(fd(), SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
    low_water_ = wanted;
  }

  // Takes what belongs to the head. False: there is nothing like a request.
  bool read_head(std::string_view& bytes) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t before = head_in_.size();
    head_in_ += bytes.substr(0, kHeadSizeMax);
    const std::size_t end = head_in_.find(kEnd);
    if (end == std::string::npos) {
      bytes = {};
      return head_in_.size() < kHeadSizeMax;
    }
    bytes.remove_prefix(end + kEnd.size() - before);
    const bool is_good = answer(std::string_view(head_in_).substr(0, end));
    head_in_.clear();
    return is_good;
  }

  bool answer(std::string_view head) {
    const std::size_t at = head.find(" /");
    std::uint64_t size = 0;
    if (at == std::string_view::npos) return false;
    const char* const digits = head.data() + at + 2;
    if (std::from_chars(digits, head.data() + head.size(), size).ec != std::errc()) return false;
    const std::string_view method = head.substr(0, at);
    if (method == "PUT") {
      to_take_ = size;
      await_bulk();
      return size != 0;
    }
    head_out_ += "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
    if (method == "GET") to_send_ += size;
    return method == "GET" || method == "HEAD";
  }

  ktls::UniqueFd fd_;
  std::string head_in_;
  std::string head_out_;
  std::uint64_t to_send_ = 0;
  std::uint64_t to_take_ = 0;
  int low_water_ = 1;
};

class Sink {
 public:
  Sink()
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
        events_(::epoll_create1(EPOLL_CLOEXEC)),
        memory_(kPiece) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (!events_ || ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_.get(), SOMAXCONN) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      fail("cannot listen");
    }
    watch(listener_.get(), EPOLLIN, EPOLL_CTL_ADD);
    watch(STDIN_FILENO, EPOLLIN, EPOLL_CTL_ADD);
    std::printf("%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
  }

  void run() {
    std::array<epoll_event, kEventsMax> events{};
    for (;;) {
      const int count = ::epoll_wait(events_.get(), events.data(), kEventsMax, -1);
      if (count < 0 && errno != EINTR) fail("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == STDIN_FILENO) return;
        if (fd == listener_.get()) {
          accept_all();
        } else {
          serve(fd);
        }
      }
    }
  }

 private:
  void watch(int fd, std::uint32_t wanted, int operation) {
    epoll_event event{};
    event.events = wanted;
    event.data.fd = fd;
    if (::epoll_ctl(events_.get(), operation, fd, &event) != 0) fail("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      ktls::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) return;
      const int on = 1;
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd.get(), EPOLLIN, EPOLL_CTL_ADD);
      const int number = fd.get();
      peers_[number] = std::make_unique<Peer>(std::move(fd));
    }
  }

  void serve(int fd) {
    Peer& peer = *peers_.at(fd);
    const bool had_more = peer.has_more_to_send();
    if (!peer.receive(memory_) || !peer.send(memory_)) {
      peers_.erase(fd);
      return;
    }
    if (peer.has_more_to_send() == had_more) return;
    watch(fd, had_more ? EPOLLIN : EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  }

  ktls::UniqueFd listener_;
  ktls::UniqueFd events_;
  std::vector<char> memory_;
  std::unordered_map<int, std::unique_ptr<Peer>> peers_;
};

}  // namespace
}  // namespace bench

int main() {
  try {
    bench::Sink().run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "plain_sink: %s\n", error.what());
    return 1;
  }
}
