// Welcome: one connection from its handshake to the moment at which a program has it, and the relay
// after that where there has to be one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ktls/base/unique_fd.h"
#include "tools/broker/broker_state.h"
#include "tools/broker/foreign_fd.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/ktls-bridge/tls_session.h"
#include "userspace/bridge/connection.h"
#include "userspace/io/task.h"

namespace tools {

// In the order of their use. Lives on the frame of the task that calls it.
class Welcome {
 public:
  // `fd`: a connected stream socket. `place`: among the connections of `client`.
  Welcome(BrokerState& state, const Client& client, Places::Place place, ForeignFd fd);
  Welcome(const Welcome&) = delete;
  Welcome& operator=(const Welcome&) = delete;
  // Writes the line of the connection.
  ~Welcome();

  // Handshake and adoption; false if it came to nothing, and complaint() says why. `name`: client
  // role, what to verify; the server role has none.
  [[nodiscard]] bridge::Task<bool> establish(const std::string* name = nullptr);
  // kError of what failed.
  [[nodiscard]] broker::Answer complaint() const;

  // After establish(): kConnection, and what goes with it. Error: kSystem, where there is no stream
  // to relay.
  [[nodiscard]] ktls::Result<broker::Answer> introduce();
  // The descriptor that goes with it: of the TLS socket, or the program's end of a stream.
  [[nodiscard]] int descriptor() const { return theirs_ ? theirs_.get() : fd_.get(); }
  [[nodiscard]] bool is_relayed() const { return static_cast<bool>(theirs_); }

  // The program has it, or the answer is on its way: keeps the secrets, or relays until the end.
  [[nodiscard]] bridge::Task<void> let_go();
  // There is no room for it; to be called before establish().
  void turn_away(std::string_view why);
  // Nobody took it.
  [[nodiscard]] bridge::Task<void> give_up(const ktls::Error& why);

  [[nodiscard]] Cancellation& cancellation() { return session_.cancellation(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  [[nodiscard]] TlsSession tls_session(const std::string* name);
  // kNone: it can be handed out.
  [[nodiscard]] ktls::Reason why_relayed() const;
  // Whether whoever will have the socket can be held while its key is changed.
  [[nodiscard]] bool can_be_looked_after() const;
  // The stream that takes the socket's place; the program's end tells the addresses of `addresses`.
  [[nodiscard]] ktls::Result<void> make_stream(const broker::Answer& addresses);
  void tell_of_relay(ktls::Reason reason);
  void hand_out();
  [[nodiscard]] bridge::Task<void> relay();

  BrokerState& state_;
  Client client_;
  Places::Place place_;
  BrokerSession session_;
  ForeignFd fd_;
  ktls::UniqueFd ours_;    // of a stream that is relayed
  ktls::UniqueFd theirs_;  // its other end, until the program has it
  std::uint64_t cookie_ = 0;
  CountedPlace place_taken_;
  CountedConnection counted_;
  ConnectionLog line_;
  std::unique_ptr<bridge::Connection> connection_;
};

}  // namespace tools
