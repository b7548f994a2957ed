// Loads a TLS proxy in front of plain_sink with what static_client does not: uploads, handshakes,
// and connections on which nothing happens. For scripts/bench proxy.
//
// proxy_client PORT up|full|resumed|idle CONNECTIONS COUNT [SIZE]. Says "ready", waits for a line,
// and ends with one line of JSON. TLS 1.3 with AES-128-GCM.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/bench/load_command.h"
#include "tests/bench/load_connection.h"

namespace bench {
namespace {

constexpr std::size_t kRecord = 16'384;
constexpr std::uint64_t kResponse = 1024;

struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SessionPtr = std::unique_ptr<SSL_SESSION, FreeSession>;

struct Work {
  std::uint16_t port = 0;
  std::string_view kind;
  std::uint64_t connections = 1;
  std::uint64_t count = 1;
  std::uint64_t size = 1;
};

// One connection, which waits wherever it has to.
class Connection {
 public:
  Connection(SSL_CTX& context, std::uint16_t port, SSL_SESSION* session)
      : fd_(connect_to(port)), ssl_(SSL_new(&context)) {
    SSL_set_fd(ssl_.get(), fd_.get());
    if (session != nullptr) SSL_set_session(ssl_.get(), session);
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("the handshake failed");
  }

  [[nodiscard]] bool is_resumed() const { return SSL_session_reused(ssl_.get()) == 1; }

  void write(std::span<const char> bytes) {
    if (SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0) {
      throw std::runtime_error("cannot send");
    }
  }

  // Until the response with a body of that size is complete.
  void take_response(std::uint64_t body) {
    std::string got;
    for (;;) {
      const std::size_t end = got.find("\r\n\r\n");
      if (end != std::string::npos && got.size() >= end + 4 + body) return;
      char memory[kRecord];
      const int size = SSL_read(ssl_.get(), memory, sizeof memory);
      if (size <= 0) throw std::runtime_error("the connection ended");
      got.append(memory, static_cast<std::size_t>(size));
    }
  }

  // The newest that came.
  [[nodiscard]] SessionPtr session() { return SessionPtr(SSL_get1_session(ssl_.get())); }

  void end() { SSL_shutdown(ssl_.get()); }

 private:
  ktls::UniqueFd fd_;
  tls::SslPtr ssl_;
};

void report(const Work& work, std::uint64_t resumed, std::int64_t begun, std::int64_t cpu_begun) {
  std::printf(
      "{\"requests\": %llu, \"resumed\": %llu, \"client_ns\": %lld, \"elapsed_ns\": %lld}\n",
      static_cast<unsigned long long>(work.count), static_cast<unsigned long long>(resumed),
      static_cast<long long>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begun),
      static_cast<long long>(clock_ns(CLOCK_MONOTONIC) - begun));
  await_done();
}

void upload(SSL_CTX& context, const Work& work) {
  Connection connection(context, work.port, nullptr);
  const std::vector<char> record(kRecord, 'u');
  const std::string head = "PUT /" + std::to_string(work.size) + " HTTP/1.1\r\n\r\n";
  if (!await_go()) return;
  const std::int64_t begun = clock_ns(CLOCK_MONOTONIC);
  const std::int64_t cpu_begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  for (std::uint64_t i = 0; i < work.count; ++i) {
    connection.write(head);
    for (std::uint64_t left = work.size; left != 0;) {
      const auto size = std::min<std::uint64_t>(left, record.size());
      connection.write(std::span(record).first(size));
      left -= size;
    }
    connection.take_response(0);
  }
  report(work, 0, begun, cpu_begun);
}

// Connections one after the other, each with one request. Answers how many were resumed.
std::uint64_t connect_often(SSL_CTX& context, const Work& work, std::uint64_t count) {
  const bool resumes = work.kind == "resumed";
  const std::string request = "GET /" + std::to_string(kResponse) + " HTTP/1.1\r\n\r\n";
  SessionPtr session;
  std::uint64_t resumed = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    Connection connection(context, work.port, session.get());
    resumed += connection.is_resumed() ? 1 : 0;
    connection.write(request);
    connection.take_response(kResponse);
    if (resumes) session = connection.session();
    connection.end();
  }
  return resumed;
}

void shake_hands(SSL_CTX& context, const Work& work) {
  if (!await_go()) return;
  const std::int64_t begun = clock_ns(CLOCK_MONOTONIC);
  const std::int64_t cpu_begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  std::atomic<std::uint64_t> resumed = 0;
  std::atomic<bool> failed = false;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < work.connections; ++i) {
    threads.emplace_back([&] {
      try {
        resumed += connect_often(context, work, work.count / work.connections);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "proxy_client: %s\n", error.what());
        failed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (failed) throw std::runtime_error("a connection failed");
  report(work, resumed, begun, cpu_begun);
}

void stand_idle(SSL_CTX& context, const Work& work) {
  std::vector<std::unique_ptr<Connection>> connections;
  const std::string request = "GET /" + std::to_string(kResponse) + " HTTP/1.1\r\n\r\n";
  const std::int64_t begun = clock_ns(CLOCK_MONOTONIC);
  const std::int64_t cpu_begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  while (connections.size() < work.count) {
    connections.push_back(std::make_unique<Connection>(context, work.port, nullptr));
    connections.back()->write(request);
    connections.back()->take_response(kResponse);
  }
  if (await_go()) report(work, 0, begun, cpu_begun);
}

Work parse(std::span<char* const> arguments) {
  if (arguments.size() < 5 || arguments.size() > 6) {
    throw std::runtime_error(
        "usage: proxy_client PORT up|full|resumed|idle CONNECTIONS COUNT [SIZE]");
  }
  return {.port = number<std::uint16_t>(arguments[1]),
          .kind = arguments[2],
          .connections = number<std::uint64_t>(arguments[3]),
          .count = number<std::uint64_t>(arguments[4]),
          .size = arguments.size() == 6 ? number<std::uint64_t>(arguments[5]) : 1};
}

void run(const Work& work) {
  const tls::SslCtxPtr context = make_context();
  if (work.kind == "up") {
    upload(*context, work);
  } else if (work.kind == "full" || work.kind == "resumed") {
    shake_hands(*context, work);
  } else if (work.kind == "idle") {
    stand_idle(*context, work);
  } else {
    throw std::runtime_error("unknown kind of load: " + std::string(work.kind));
  }
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    bench::run(bench::parse({argv, static_cast<std::size_t>(argc)}));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "proxy_client: %s\n", error.what());
    return 1;
  }
}
