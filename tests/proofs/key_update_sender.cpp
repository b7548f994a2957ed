// key_update_sender: a TLS server that sends a file over a Sender, in the kernel, under a key
// budget of the caller's: what comes of it is for another program to check. One connection, then a
// line of JSON. See key_update_proof.py.
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktls/core/capability.h"
#include "tests/unit/userspace/bridge/take_control.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/establish.h"
#include "userspace/bridge/plan.h"
#include "userspace/bridge/relay.h"
#include "userspace/handshake/openssl/handshake.h"
#include "userspace/io/loop.h"
#include "userspace/io/when_both.h"

namespace bridge::test {
namespace {

constexpr std::chrono::minutes kPatience(20);
// Little, so that a file is on its way for a while.
constexpr int kSendBuffer = 65'536;

struct Options {
  bool by_splice = false;
  std::string file;
  std::string certificate;
  std::string key;
  KeyPolicy keys;
};

struct Outcome {
  std::string error;
  std::uint64_t sent = 0;
  KeyUpdateCounts updates;
  std::uint64_t updates_received = 0;
  Plan plan;
};

int usage() {
  std::cerr
      << "usage: key_update_sender sendfile|splice FILE CERTIFICATE KEY RECORDS INTERVAL_MS\n";
  return 64;
}

template <class Number>
bool parse(std::string_view text, Number& number) {
  return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc();
}

ktls::UniqueFd listen_anywhere() {
  ktls::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &size) != 0) {
    return {};
  }
  std::cout << ntohs(address.sin_port) << std::endl;
  return listener;
}

Task<ktls::Result<std::uint64_t>> send_file_and_close(Connection& connection, Scope& scope,
                                                      int file) {
  struct stat status {};
  ::fstat(file, &status);
  auto sent = co_await connection.sender().send_file(
      scope, {.fd = file, .offset = 0, .size = static_cast<std::uint64_t>(status.st_size)});
  if (!sent) co_return sent;
  auto closed = co_await connection.send_alert(scope, tls::AlertDescription::kCloseNotify);
  if (!closed) co_return ktls::fail(std::move(closed).error());
  ::shutdown(connection.fd(), SHUT_WR);
  co_return sent;
}

// The file as a plain side that is spliced from: another thread writes it into a socket.
class PlainSide {
 public:
  explicit PlainSide(int file) {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    writer_ = std::thread([this, file] { write_all(file); });
  }
  ~PlainSide() {
    ours_.reset();
    writer_.join();
  }
  PlainSide(const PlainSide&) = delete;
  PlainSide& operator=(const PlainSide&) = delete;

  [[nodiscard]] int fd() const { return ours_.get(); }

 private:
  void write_all(int file) {
    std::array<char, 65536> buffer{};
    for (off_t offset = 0;;) {
      const ssize_t read = ::pread(file, buffer.data(), buffer.size(), offset);
      if (read <= 0) break;
      offset += read;
      for (ssize_t done = 0; done < read;) {
        const ssize_t sent = ::send(theirs_.get(), buffer.data() + done,
                                    static_cast<std::size_t>(read - done), MSG_NOSIGNAL);
        if (sent <= 0) return;
        done += sent;
      }
    }
    ::shutdown(theirs_.get(), SHUT_WR);
    while (::recv(theirs_.get(), buffer.data(), buffer.size(), 0) > 0) continue;
  }

  ktls::UniqueFd ours_;
  ktls::UniqueFd theirs_;
  std::thread writer_;
};

Task<void> send_by_sendfile(Connection& connection, Scope& scope, int file, Outcome& outcome) {
  ktls::UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto [sent, taken] = co_await when_both(send_file_and_close(connection, scope, file),
                                          take_control(connection, scope, nowhere.get()));
  if (!sent) outcome.error = sent.error().message();
  if (sent && !taken) outcome.error = taken.error().message();
  outcome.sent = sent.value_or(0);
  outcome.updates_received = connection.key_updates_received();
}

Task<void> send_by_splice(Connection& connection, Scope& scope, int file, Outcome& outcome) {
  const PlainSide plain(file);
  const RelayReport report = co_await relay(scope.loop(), scope, connection, plain.fd(), kPatience);
  // A peer that has it all may go without close_notify.
  const bool is_whole = report.ending == Ending::kClean || report.ending == Ending::kTruncated;
  if (!is_whole) outcome.error = report.detail;
  outcome.sent = report.sent;
  outcome.updates_received = report.key_updates_received;
}

Task<void> serve(Loop& loop, const Options& options, std::shared_ptr<tls::Context> context,
                 int listener, Outcome& outcome) {
  Scope scope(loop, kPatience);
  const auto fail = [&outcome](const ktls::Error& error) { outcome.error = error.message(); };
  const ktls::UniqueFd file(::open(options.file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) co_return fail(ktls::Error::system(errno, options.file));
  auto socket = co_await loop.accept(scope, listener);
  if (!socket) co_return fail(socket.error());
  ::setsockopt(socket->get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  auto handshake = tls::Handshake::create(context, tls::Role::kServer, {});
  if (!handshake) co_return fail(handshake.error());
  auto finished = co_await establish(loop, scope, socket->get(), **handshake);
  if (!finished) co_return fail(finished.error());
  const Plan intended = plan(finished->negotiated, ktls::probe(), OffloadPolicy::kRequireKernel);
  auto connection = Connection::adopt(loop, socket->get(), std::move(finished->negotiated),
                                      std::move(finished->post_handshake), intended, options.keys);
  if (!connection) co_return fail(connection.error());
  outcome.plan = (*connection)->plan();
  if (options.by_splice) {
    co_await send_by_splice(**connection, scope, file.get(), outcome);
  } else {
    co_await send_by_sendfile(**connection, scope, file.get(), outcome);
  }
  outcome.updates = (*connection)->sender().key_updates();
}

Task<void> serve_and_stop(Loop& loop, const Options& options, std::shared_ptr<tls::Context> context,
                          int listener, Outcome& outcome) {
  co_await serve(loop, options, std::move(context), listener, outcome);
  loop.stop();
}

int run(const Options& options) {
  tls::ServerOptions server;
  server.certificate_file = options.certificate;
  server.key_file = options.key;
  server.version_min = tls::ProtocolVersion::kTls13;
  auto context = tls::Context::server(server);
  auto loop = Loop::create();
  const ktls::UniqueFd listener = listen_anywhere();
  if (!context || !loop || !listener) {
    std::cerr << "key_update_sender: cannot listen\n";
    return 1;
  }
  Outcome outcome;
  (*loop)->spawn(serve_and_stop(**loop, options, *context, listener.get(), outcome));
  const auto ran = (*loop)->run();
  if (!ran) outcome.error = ran.error().message();
  const bool in_kernel = outcome.plan.satisfies(OffloadPolicy::kRequireKernel);
  if (outcome.error.empty() && !in_kernel) outcome.error = "a direction is not in the kernel";
  std::cout << "{\"sent\": " << outcome.sent << ", \"updates\": " << outcome.updates.updates
            << ", \"waits\": " << outcome.updates.waits
            << ", \"updates_received\": " << outcome.updates_received << ", \"error\": \""
            << outcome.error << "\"}" << std::endl;
  return outcome.error.empty() ? 0 : 1;
}

}  // namespace
}  // namespace bridge::test

int main(int argc, char** argv) {
  using bridge::test::usage;
  if (argc != 7) return usage();
  bridge::test::Options options;
  const std::string_view way = argv[1];
  options.by_splice = way == "splice";
  options.file = argv[2];
  options.certificate = argv[3];
  options.key = argv[4];
  std::int64_t interval_ms = 0;
  if ((way != "splice" && way != "sendfile") ||
      !bridge::test::parse(argv[5], options.keys.records_max) ||
      !bridge::test::parse(argv[6], interval_ms)) {
    return usage();
  }
  options.keys.update_interval = std::chrono::milliseconds(interval_ms);
  return bridge::test::run(options);
}
