// key_update_peer: a TLS 1.3 client of libssl that floods a server with KeyUpdates, or asks it for
// its own in the middle of what it sends. One connection, then a line of JSON. See
// key_update_proof.py.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "userspace/handshake/openssl/pointers.h"

namespace bridge::test {
namespace {

constexpr std::uint8_t kKeyUpdate = 24;
constexpr int kWaitMs = 120'000;
// Little, so that most of what the server sends is still before it when it is asked.
constexpr int kReceiveBuffer = 65'536;

int usage() {
  std::cerr << "usage: key_update_peer flood PORT CA COUNT\n"
               "       key_update_peer ask PORT CA BYTES\n"
               "flood: COUNT KeyUpdates, sealed beforehand, sent as fast as the socket takes them\n"
               "ask: an update_requested after BYTES, and after BYTES more since each answer\n";
  return 64;
}

int fail(std::string_view what) {
  std::cerr << "key_update_peer: " << what << '\n';
  ERR_print_errors_fp(stderr);
  return 1;
}

template <class Number>
bool parse(std::string_view text, Number& number) {
  return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc();
}

// What the server says beside data.
struct Heard {
  int alert = -1;
  std::uint64_t data_size = 0;                // so far
  std::vector<std::uint64_t> key_updates_at;  // in the data
};

void note_message(int written, int /*version*/, int type, const void* bytes, std::size_t size,
                  SSL* /*ssl*/, void* heard_by) {
  auto& heard = *static_cast<Heard*>(heard_by);
  const std::span message(static_cast<const std::uint8_t*>(bytes), size);
  if (written != 0 || message.empty()) return;
  if (type == SSL3_RT_HANDSHAKE && message[0] == kKeyUpdate) {
    heard.key_updates_at.push_back(heard.data_size);
  }
  if (type == SSL3_RT_ALERT && message.size() == 2) heard.alert = message[1];
}

ktls::UniqueFd connect_to(std::uint16_t port) {
  ktls::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

bool change_key(SSL* ssl, int type) {
  return SSL_key_update(ssl, type) == 1 && SSL_do_handshake(ssl) == 1;
}

// The KeyUpdates as they will be on the wire, each under the key that the one before it began.
std::vector<std::uint8_t> seal_key_updates(SSL* ssl, std::uint64_t count) {
  BIO* const memory = BIO_new(BIO_s_mem());
  SSL_set0_wbio(ssl, memory);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (!change_key(ssl, SSL_KEY_UPDATE_NOT_REQUESTED)) return {};
  }
  std::vector<std::uint8_t> wire(BIO_ctrl_pending(memory));
  const int read = BIO_read(memory, wire.data(), static_cast<int>(wire.size()));
  wire.resize(static_cast<std::size_t>(std::max(read, 0)));
  return wire;
}

// Sends until the server has said what it thinks of that: how many bytes went before its alert.
std::size_t send_until_alert(SSL* ssl, int fd, const Heard& heard,
                             std::span<const std::uint8_t> wire) {
  std::size_t sent = 0;
  std::array<char, 16384> data{};
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  while (heard.alert < 0) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    if (sent < wire.size()) ready.events |= POLLOUT;
    if (::poll(&ready, 1, kWaitMs) != 1) break;
    if ((ready.revents & ~POLLOUT) != 0) {
      const int read = SSL_read(ssl, data.data(), data.size());
      if (read <= 0 && SSL_get_error(ssl, read) != SSL_ERROR_WANT_READ) break;
    }
    if ((ready.revents & POLLOUT) != 0) {
      const ssize_t more = ::send(fd, wire.data() + sent, wire.size() - sent, MSG_NOSIGNAL);
      if (more > 0) sent += static_cast<std::size_t>(more);
    }
  }
  return sent;
}

// Sends on as though there had been no alert: how many bytes the server still took.
std::size_t send_after_alert(int fd, std::span<const std::uint8_t> wire) {
  std::size_t sent = 0;
  while (sent < wire.size()) {
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, kWaitMs) != 1) break;
    const ssize_t more = ::send(fd, wire.data() + sent, wire.size() - sent, MSG_NOSIGNAL);
    if (more < 0 && errno != EAGAIN) break;
    if (more > 0) sent += static_cast<std::size_t>(more);
  }
  return sent;
}

int flood(SSL* ssl, int fd, const Heard& heard, std::uint64_t count) {
  const std::vector<std::uint8_t> wire = seal_key_updates(ssl, count);
  if (wire.empty() || wire.size() % count != 0) return fail("cannot seal KeyUpdates");
  const std::size_t record_size = wire.size() / count;
  const std::size_t before = send_until_alert(ssl, fd, heard, wire);
  const std::size_t after = send_after_alert(fd, std::span(wire).subspan(before));
  std::cout << "{\"sealed\": " << count << ", \"sent_before_alert\": " << before / record_size
            << ", \"sent\": " << (before + after) / record_size << ", \"alert\": " << heard.alert
            << "}" << std::endl;
  return 0;
}

std::string sha256_in_hex(EVP_MD_CTX* digest) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(digest, value.data(), &size);
  std::ostringstream hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex << std::hex << std::setw(2) << std::setfill('0') << static_cast<int>(value[i]);
  }
  return hex.str();
}

std::string list_of(std::span<const std::uint64_t> numbers) {
  std::string text;
  for (const std::uint64_t number : numbers) {
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  }
  return "[" + text + "]";
}

int ask(SSL* ssl, Heard& heard, std::uint64_t interval) {
  const std::unique_ptr<EVP_MD_CTX, tls::OpensslDeleter<EVP_MD_CTX_free>> digest(EVP_MD_CTX_new());
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  std::vector<std::uint64_t> asked_at;
  std::array<char, 16384> data{};
  int read = 0;
  while ((read = SSL_read(ssl, data.data(), data.size())) > 0) {
    EVP_DigestUpdate(digest.get(), data.data(), static_cast<std::size_t>(read));
    heard.data_size += static_cast<std::uint64_t>(read);
    // One answer is enough for all that is asked before it (RFC 8446 section 4.6.3).
    const bool is_answered = heard.key_updates_at.size() == asked_at.size();
    const std::uint64_t last = is_answered && !asked_at.empty() ? heard.key_updates_at.back() : 0;
    if (!is_answered || heard.data_size < last + interval) continue;
    if (!change_key(ssl, SSL_KEY_UPDATE_REQUESTED)) return fail("cannot ask");
    asked_at.push_back(heard.data_size);
  }
  const bool is_closed = SSL_get_error(ssl, read) == SSL_ERROR_ZERO_RETURN;
  SSL_shutdown(ssl);
  std::cout << "{\"received\": " << heard.data_size << ", \"sha256\": \""
            << sha256_in_hex(digest.get()) << "\", \"asked_at\": " << list_of(asked_at)
            << ", \"answered_at\": " << list_of(heard.key_updates_at)
            << ", \"closed\": " << (is_closed ? "true" : "false") << "}" << std::endl;
  return 0;
}

int run(std::string_view what, std::uint16_t port, const char* authority, std::uint64_t number) {
  const tls::SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_locations(context.get(), authority, nullptr) != 1) return fail(authority);
  const ktls::UniqueFd fd = connect_to(port);
  if (!fd) return fail("cannot connect");
  const tls::SslPtr ssl(SSL_new(context.get()));
  Heard heard;
  SSL_set_msg_callback(ssl.get(), note_message);
  SSL_set_msg_callback_arg(ssl.get(), &heard);
  SSL_set_fd(ssl.get(), fd.get());
  if (SSL_connect(ssl.get()) != 1) return fail("the handshake failed");
  return what == "flood" ? flood(ssl.get(), fd.get(), heard, number)
                         : ask(ssl.get(), heard, number);
}

}  // namespace
}  // namespace bridge::test

int main(int argc, char** argv) {
  using bridge::test::parse;
  std::uint16_t port = 0;
  std::uint64_t number = 0;
  const std::string_view what = argc == 5 ? argv[1] : "";
  if ((what != "flood" && what != "ask") || !parse(argv[2], port) || !parse(argv[4], number) ||
      number == 0) {
    return bridge::test::usage();
  }
  return bridge::test::run(what, port, argv[3], number);
}
