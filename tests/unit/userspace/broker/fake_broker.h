// FakeBroker: answers the client library as a test says, from a thread of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "ktls/base/unique_fd.h"
#include "userspace/broker/protocol.h"

namespace broker {

// A request as it came: its payload, the socket for its answers, and what it is about.
struct Asked {
  Request request{};
  std::vector<std::uint8_t> payload;
  ktls::UniqueFd answers;
  ktls::UniqueFd subject;
};

// Runs in the broker's thread. Whatever it does not keep is closed afterwards.
using Answering = std::function<void(Asked)>;

class FakeBroker {
 public:
  FakeBroker(const std::string& path, Answering answering);
  // Closes everything, as a broker that ends.
  ~FakeBroker();
  FakeBroker(const FakeBroker&) = delete;
  FakeBroker& operator=(const FakeBroker&) = delete;

  // Waits until all who asked have hung up, and the broker has noticed.
  void await_idle() const;

 private:
  void run();
  // False: the channel is closed.
  bool serve(int channel);

  std::string path_;
  Answering answering_;
  ktls::UniqueFd listening_;
  ktls::UniqueFd stop_read_;
  ktls::UniqueFd stop_write_;
  std::atomic<std::size_t> channels_ = 0;
  std::thread thread_;
};

[[nodiscard]] Answer answer_of(Kind kind);
[[nodiscard]] Answer error_of(int error, const char* reason, const char* text);

// One datagram. False: nobody is there any more.
bool send_bytes(int answers, std::span<const std::uint8_t> bytes, std::initializer_list<int> fds);
bool send_answer(int answers, const Answer& answer, std::initializer_list<int> fds = {});

// Waits for a message that brings nothing, on the socket of kListen. An empty Request (of Kind 0)
// when the other end has been closed.
[[nodiscard]] Request next_told(int answers);

// A folder of its own, with a path that the library is told of.
class BrokerPath {
 public:
  BrokerPath();
  ~BrokerPath();
  BrokerPath(const BrokerPath&) = delete;
  BrokerPath& operator=(const BrokerPath&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string folder_;
  std::string path_;
};

// Two connected sockets, and a listening one, on loopback.
struct SocketPair {
  ktls::UniqueFd ours;
  ktls::UniqueFd peer;
};
[[nodiscard]] SocketPair tcp_pair();
[[nodiscard]] SocketPair stream_pair();
[[nodiscard]] ktls::UniqueFd tcp_listener();

// How many descriptors this process has.
[[nodiscard]] std::size_t open_descriptors();

}  // namespace broker
