// Loads one file over and over from an HTTPS server on this machine, for scripts/bench static.
//
// Says "ready" when all connections stand, waits for a line, then sends the requests, and ends
// with one line of JSON. TLS 1.3 with AES-128-GCM.
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include "tests/bench/load_command.h"
#include "tests/bench/load_connection.h"
#include "userspace/handshake/openssl/pointers.h"

namespace bench {
namespace {

constexpr int kStallMs = 120'000;
constexpr std::size_t kMemory = std::size_t{1} << 20U;

class Client {
 public:
  explicit Client(const Load& load) : load_(load), context_(make_context()), memory_(kMemory) {
    // Where records are counted libssl must not have taken any from the socket beforehand.
    if (load.reading == Reading::kDecrypt) SSL_CTX_set_read_ahead(context_.get(), 1);
    for (int i = 0; i < load.connections; ++i) {
      connections_.push_back(std::make_unique<LoadConnection>(*context_, load));
    }
  }

  void run() {
    if (!await_go()) return;
    const std::int64_t begun = clock_ns(CLOCK_MONOTONIC);
    const std::int64_t cpu_begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    load();
    const std::int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begun;
    const std::int64_t elapsed = clock_ns(CLOCK_MONOTONIC) - begun;
    std::uint64_t records = 0;
    for (const auto& each : connections_) records += each->records();
    std::printf(
        "{\"requests\": %llu, \"body\": %llu, \"head\": %llu, \"records\": %llu, "
        "\"client_ns\": %lld, \"elapsed_ns\": %lld}\n",
        static_cast<unsigned long long>(load_.requests),
        static_cast<unsigned long long>(connections_.front()->size().body),
        static_cast<unsigned long long>(connections_.front()->size().head),
        static_cast<unsigned long long>(records), static_cast<long long>(cpu),
        static_cast<long long>(elapsed));
    await_done();
  }

 private:
  void load() {
    std::vector<pollfd> waits;
    for (const auto& each : connections_) {
      waits.push_back({.fd = each->fd(), .events = POLLIN, .revents = 0});
      each->begin();
      send_next(*each);
    }
    std::uint64_t done = 0;
    while (done != load_.requests) {
      if (::poll(waits.data(), waits.size(), kStallMs) <= 0) {
        throw std::runtime_error("nothing came");
      }
      for (std::size_t i = 0; i < waits.size(); ++i) {
        if (waits[i].revents == 0 || !connections_[i]->take(memory_)) continue;
        ++done;
        send_next(*connections_[i]);
      }
    }
  }

  void send_next(LoadConnection& connection) {
    if (asked_ == load_.requests) return;
    ++asked_;
    connection.send_request();
  }

  const Load& load_;
  tls::SslCtxPtr context_;
  std::vector<std::uint8_t> memory_;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  std::uint64_t asked_ = 0;
};

Load parse(std::span<char* const> arguments) {
  if (arguments.size() != 6) {
    throw std::runtime_error("usage: static_client PORT PATH CONNECTIONS REQUESTS decrypt|count");
  }
  return {
      .port = number<std::uint16_t>(arguments[1]),
      .path = arguments[2],
      .reading = std::string_view(arguments[5]) == "count" ? Reading::kCount : Reading::kDecrypt,
      .connections = number<int>(arguments[3]),
      .requests = number<std::uint64_t>(arguments[4])};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    const bench::Load load = bench::parse({argv, static_cast<std::size_t>(argc)});
    bench::Client(load).run();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "static_client: %s\n", error.what());
    return 1;
  }
}
