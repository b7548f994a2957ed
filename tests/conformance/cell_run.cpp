// The three threads of a cell, and what is compared when they are done.

#include "tests/conformance/cell_run.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "tests/conformance/endpoint.h"
#include "tests/conformance/java_peer.h"
#include "tests/conformance/sockets.h"
#include "tests/conformance/tls_stream.h"
#include "tests/conformance/wire_oracle.h"
#include "tests/conformance/wire_relay.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// An emulated machine beside a busy one does some MiB a second; a cell without an end is a finding
// all the same.
constexpr std::chrono::seconds kDeadline(120);
constexpr std::chrono::seconds kDeadlinePerMiB(10);

std::chrono::seconds deadline_of(const Cell& cell) {
  return kDeadline + kDeadlinePerMiB * static_cast<int>(cell.size >> 20U);
}

// Calls `cut` when the cell has not ended in time.
class Watchdog {
 public:
  Watchdog(std::chrono::seconds limit, const std::function<void()>& cut)
      : thread_([this, limit, cut] {
          std::unique_lock lock(mutex_);
          has_bitten_ = !ended_.wait_for(lock, limit, [this] { return is_over_; });
          if (has_bitten_) cut();
        }) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() { call_off(); }

  // Whether it was too late.
  bool call_off() {
    {
      const std::scoped_lock lock(mutex_);
      is_over_ = true;
    }
    ended_.notify_one();
    if (thread_.joinable()) thread_.join();
    return has_bitten_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool is_over_ = false;
  bool has_bitten_ = false;
  std::thread thread_;  // last: it uses the others
};

Result<void> run_stream(Result<std::unique_ptr<TlsStream>> stream, int fd,
                        const Conversation& conversation) {
  if (!stream) return ktls::fail(std::move(stream).error());
  if (auto set = set_blocking(fd, false); !set) return set;
  return converse(**stream, fd, conversation);
}

// One cell under way. The two ends of its wire are in `endpoint_fd_` and `peer_fd_`; the relay has
// their other ends.
class Connection {
 public:
  Connection(const Cell& cell, const Surroundings& surroundings, const ktls::Capability& capability)
      : cell_(cell), surroundings_(surroundings), capability_(capability) {}

  Result<void> connect() {
    KTLS_TRY(SocketPair near, connect_pair());
    ktls::UniqueFd to_peer;
    if (cell_.peer == "java") {
      KTLS_TRY(java_, JavaPeer::start(cell_, surroundings_.java_port));
      to_peer = java_->take_wire();
    } else {
      KTLS_TRY(SocketPair far, connect_pair());
      to_peer = std::move(far.near);
      peer_fd_ = std::move(far.far);
    }
    endpoint_fd_ = std::move(near.near);
    const bool is_client = cell_.role == tls::Role::kClient;
    relay_.emplace(std::move(is_client ? near.far : to_peer),
                   std::move(is_client ? to_peer : near.far), oracle_);
    return {};
  }

  void run() {
    Watchdog watchdog(deadline_of(cell_), [this] {
      relay_->cut();
      if (java_) java_->cut();
    });
    Result<void> carried;
    Result<void> peer;
    std::thread wire([&] { carried = relay_->run(); });
    std::thread far_side([&] {
      peer = run_peer();
      peer_fd_.reset();
    });
    auto endpoint = run_endpoint_side();
    endpoint_fd_.reset();
    far_side.join();
    wire.join();
    if (watchdog.call_off()) problems_.emplace_back("no end in time");
    note("wire", carried);
    note("endpoint", endpoint);
    note("peer", peer);
    if (carried && endpoint && peer) compare();
  }

  [[nodiscard]] nlohmann::json report() {
    nlohmann::json report = {{"problems", problems_}};
    const Hellos& hellos = oracle_.hellos();
    if (hellos.suite != nullptr) report["suite"] = hellos.suite->name;
    for (const tls::Role sender : {cell_.role, other(cell_.role)}) {
      const WireStream& stream = oracle_.from(sender);
      report[sender == cell_.role ? "sent" : "received"] = {
          {"records", stream.records()},
          {"data_records", stream.data_records()},
          {"content", stream.content_size()},
          {"late_messages", stream.late_messages()},
          {"sequence", stream.sequence()}};
    }
    report["control_records"] = endpoint_.control_records;
    report["times_given_way"] = endpoint_.times_given_way;
    return report;
  }

  void note(const std::string& who, const Result<void>& result) {
    if (!result) problems_.push_back(who + ": " + result.error().message());
  }

 private:
  Result<void> run_endpoint_side() {
    const int fd = endpoint_fd_.get();
    if (cell_.in_userspace()) {
      return run_stream(make_own_stream(cell_, cell_.role, fd, surroundings_, &keys_), fd,
                        {.sent = endpoint_pattern(),
                         .send_size = cell_.send_size(),
                         .received = peer_pattern(),
                         .receive_size = cell_.receive_size()});
    }
    KTLS_TRY(endpoint_, run_endpoint(cell_, fd, surroundings_, capability_, keys_));
    return {};
  }

  Result<void> run_peer() {
    if (java_) return java_->verdict();
    const int fd = peer_fd_.get();
    const tls::Role role = other(cell_.role);
    const Conversation conversation = {.sent = peer_pattern(),
                                       .send_size = cell_.receive_size(),
                                       .received = endpoint_pattern(),
                                       .receive_size = cell_.send_size()};
    if (cell_.peer == "openssl") {
      return run_stream(make_openssl_stream(cell_, role, fd, surroundings_), fd, conversation);
    }
    if (cell_.peer == "gnutls") {
      return run_stream(make_gnutls_stream(cell_, role, fd, surroundings_), fd, conversation);
    }
    if (cell_.peer == "own") {
      return run_stream(make_own_stream(cell_, role, fd, surroundings_, nullptr), fd, conversation);
    }
    return ktls::fail(Error::of(ErrorCode::kInvalidArgument, "no peer is called " + cell_.peer));
  }

  void expect(const std::string& what, std::uint64_t found, std::uint64_t expected) {
    if (found == expected) return;
    problems_.push_back(what + " is " + std::to_string(found) + ", not " +
                        std::to_string(expected));
  }

  // What both sides and the wire must agree on when each is content by itself.
  void compare() {
    WireStream& sent = oracle_.from(cell_.role);
    WireStream& received = oracle_.from(other(cell_.role));
    note("wire", sent.finish());
    note("wire", received.finish());
    const Hellos& hellos = oracle_.hellos();
    expect("the version", static_cast<std::uint64_t>(hellos.version),
           static_cast<std::uint64_t>(cell_.version));
    expect("the suite", hellos.suite->id, cell_.suite->id);
    expect("content sent on the wire", sent.content_size(), cell_.send_size());
    expect("content received on the wire", received.content_size(), cell_.receive_size());
    if (cell_.in_userspace()) return;
    expect("the kernel's number of the next record to send", endpoint_.transmit_sequence,
           sent.sequence());
    expect("the kernel's number of the next record to receive", endpoint_.receive_sequence,
           received.sequence());
  }

  const Cell& cell_;
  const Surroundings& surroundings_;
  const ktls::Capability& capability_;
  KeyLog keys_;
  WireOracle oracle_{keys_, cell_.role == tls::Role::kClient ? endpoint_pattern() : peer_pattern(),
                     cell_.role == tls::Role::kClient ? peer_pattern() : endpoint_pattern()};
  ktls::UniqueFd endpoint_fd_;
  ktls::UniqueFd peer_fd_;
  std::optional<JavaPeer> java_;
  std::optional<WireRelay> relay_;
  EndpointReport endpoint_;
  std::vector<std::string> problems_;
};

}  // namespace

nlohmann::json run_cell(const Cell& cell, const Surroundings& surroundings,
                        const ktls::Capability& capability) {
  const auto begun = Clock::now();
  Connection connection(cell, surroundings, capability);
  if (auto connected = connection.connect()) {
    connection.run();
  } else {
    connection.note("connect", connected);
  }
  nlohmann::json report = connection.report();
  report["seconds"] = Seconds(Clock::now() - begun).count();
  return report;
}

}  // namespace conformance
