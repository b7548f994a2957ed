// Requests, and two ways to see a response pass.

#include "tests/bench/load_connection.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace bench {
namespace {

// On loopback the sender pays for waking the receiver, once for each of its sends to a client that
// is faster than it. A network card's interrupt would be the client's.
constexpr std::uint64_t kLowWater = 524'288;
constexpr timeval kPatience = {60, 0};
// Type and tag of a TLS 1.3 record (RFC 8446 section 5.2).
constexpr std::size_t kRecordOverhead = 17;
constexpr std::uint8_t kApplicationData = 23;
constexpr std::size_t kHeadSizeMax = 8192;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

std::string request(std::string_view method, const std::string& path) {
  return std::string(method) + " " + path +
         " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: static_client\r\nAccept: */*\r\n\r\n";
}

std::uint64_t content_length(std::string head) {
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view kName = "\r\ncontent-length: ";
  const std::size_t at = head.find(kName);
  std::uint64_t value = 0;
  if (!head.starts_with("http/1.1 200 ") || at == std::string::npos) fail("not a file: " + head);
  std::from_chars(head.data() + at + kName.size(), head.data() + head.size(), value);
  return value;
}

}  // namespace

ktls::UniqueFd connect_to(std::uint16_t port) {
  ktls::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail(std::string("connect: ") + std::strerror(errno));
  }
  return fd;
}

LoadConnection::LoadConnection(SSL_CTX& context, const Load& load)
    : load_(load), fd_(connect_to(load.port)), ssl_(SSL_new(&context)) {
  SSL_set_fd(ssl_.get(), fd_.get());
  if (SSL_connect(ssl_.get()) != 1) fail("the handshake failed");
  size_ = ask_size();
}

ResponseSize LoadConnection::ask_size() {
  const std::string head_request = request("HEAD", load_.path);
  SSL_write(ssl_.get(), head_request.data(), static_cast<int>(head_request.size()));
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    char memory[kHeadSizeMax];
    const int got = SSL_read(ssl_.get(), memory, sizeof memory);
    if (got <= 0 || head.size() > kHeadSizeMax) fail("no answer to HEAD");
    head.append(memory, static_cast<std::size_t>(got));
  }
  return {.head = head.size(), .body = content_length(head)};
}

void LoadConnection::begin() {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

void LoadConnection::send_request() {
  const std::string get = request("GET", load_.path);
  if (SSL_write(ssl_.get(), get.data(), static_cast<int>(get.size())) <= 0) fail("cannot send");
  left_ = size_.head + size_.body;
  if (load_.reading == Reading::kCount) wait_for_bulk();
}

void LoadConnection::wait_for_bulk() {
  const std::uint64_t left = left_ + record_left_;
  const int wanted = static_cast<int>(std::clamp<std::uint64_t>(left, 1, kLowWater));
  if (wanted == low_water_) return;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted);
  low_water_ = wanted;
}

bool LoadConnection::take(std::span<std::uint8_t> memory) {
  return load_.reading == Reading::kDecrypt ? take_plaintext(memory) : take_records(memory);
}

bool LoadConnection::take_plaintext(std::span<std::uint8_t> memory) {
  while (left_ != 0) {
    const int got = SSL_read(ssl_.get(), memory.data(), static_cast<int>(memory.size()));
    if (got <= 0) {
      if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_WANT_READ) return false;
      fail("the connection ended");
    }
    if (static_cast<std::uint64_t>(got) > left_) fail("more than a response");
    left_ -= static_cast<std::uint64_t>(got);
  }
  return true;
}

std::size_t LoadConnection::step_over(std::span<const std::uint8_t> ciphertext) {
  if (record_left_ != 0) {
    const std::size_t size = std::min(record_left_, ciphertext.size());
    record_left_ -= size;
    return size;
  }
  const std::size_t size = std::min(sizeof header_ - header_size_, ciphertext.size());
  std::copy_n(ciphertext.begin(), size, header_ + header_size_);
  header_size_ += size;
  if (header_size_ != sizeof header_) return size;
  header_size_ = 0;
  record_left_ = std::size_t{header_[3]} << 8U | header_[4];
  if (header_[0] != kApplicationData || record_left_ < kRecordOverhead) fail("not a record");
  const std::size_t plaintext = record_left_ - kRecordOverhead;
  if (plaintext > left_) fail("more than a response");
  left_ -= plaintext;
  ++records_;
  return size;
}

bool LoadConnection::take_records(std::span<std::uint8_t> memory) {
  const ssize_t got = ::recv(fd_.get(), memory.data(), memory.size(), 0);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) fail("the connection ended");
  std::span<const std::uint8_t> ciphertext = memory.first(static_cast<std::size_t>(got));
  while (!ciphertext.empty()) ciphertext = ciphertext.subspan(step_over(ciphertext));
  if (left_ == 0 && record_left_ == 0) return true;
  wait_for_bulk();
  return false;
}

}  // namespace bench
