// The least that a server of one file over kernel TLS can do: libssl's handshake, then for each
// request a head by send() and the file by sendfile(), one connection at a time, blocking. What
// another server needs beyond it, it needs for its own work.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ktls/base/unique_fd.h"
#include "userspace/handshake/openssl/pointers.h"

namespace bench {
namespace {

constexpr int kBacklog = 16;

struct Options {
  std::uint16_t port = 0;
  const char* certificate = nullptr;
  const char* key = nullptr;
  const char* file = nullptr;
};

tls::SslCtxPtr make_context(const Options& options) {
  tls::SslCtxPtr context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const ctx = context.get();
  SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
  SSL_CTX_set_num_tickets(ctx, 0);
  if (SSL_CTX_use_certificate_chain_file(ctx, options.certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(ctx, options.key, SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("cannot read certificate and key");
  }
  return context;
}

ktls::UniqueFd listen_on(std::uint16_t port) {
  ktls::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    throw std::runtime_error("cannot listen on port " + std::to_string(port));
  }
  return fd;
}

bool send_file(int socket, int file, off_t size) {
  off_t offset = 0;
  while (offset < size) {
    if (::sendfile(socket, file, &offset, static_cast<std::size_t>(size - offset)) <= 0) {
      return false;
    }
  }
  return true;
}

void serve(SSL* ssl, int socket, int file, off_t size) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) +
                           "\r\nContent-Type: application/octet-stream\r\n\r\n";
  char request[4096];
  while (SSL_read(ssl, request, sizeof request) > 0) {
    const bool is_get = request[0] == 'G';
    const int more = is_get ? MSG_MORE : 0;
    const auto sent = ::send(socket, head.data(), head.size(), MSG_NOSIGNAL | more);
    if (sent != static_cast<ssize_t>(head.size())) return;
    if (is_get && !send_file(socket, file, size)) return;
  }
}

[[noreturn]] void run(const Options& options) {
  const tls::SslCtxPtr context = make_context(options);
  const ktls::UniqueFd file(::open(options.file, O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw std::runtime_error("cannot open the file");
  const ktls::UniqueFd listener = listen_on(options.port);
  for (;;) {
    const ktls::UniqueFd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) continue;
    const tls::SslPtr ssl(SSL_new(context.get()));
    SSL_set_fd(ssl.get(), socket.get());
    if (SSL_accept(ssl.get()) != 1) continue;
    if (BIO_get_ktls_send(SSL_get_wbio(ssl.get())) == 0) {
      throw std::runtime_error("the kernel does not encrypt here");
    }
    serve(ssl.get(), socket.get(), file.get(), status.st_size);
  }
}

Options parse(std::span<char* const> arguments) {
  Options options;
  if (arguments.size() != 5) {
    throw std::runtime_error("usage: sendfile_floor PORT CERTIFICATE KEY FILE");
  }
  const std::string_view port = arguments[1];
  std::from_chars(port.data(), port.data() + port.size(), options.port);
  options.certificate = arguments[2];
  options.key = arguments[3];
  options.file = arguments[4];
  return options;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    bench::run(bench::parse({argv, static_cast<std::size_t>(argc)}));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sendfile_floor: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
