// Connection: an established TLS connection, each of whose directions runs where adopt() could put
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "ktls/core/syscalls.h"
#include "userspace/bridge/connection_observer.h"
#include "userspace/bridge/key_budget.h"
#include "userspace/bridge/key_chain.h"
#include "userspace/bridge/plan.h"
#include "userspace/bridge/sender.h"
#include "userspace/bridge/transport.h"
#include "userspace/bridge/update_rate.h"
#include "userspace/handshake/negotiated.h"
#include "userspace/handshake/post_handshake.h"
#include "userspace/io/loop.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/alert.h"

namespace bridge {

// What stays true of a connection after the hand-over.
struct ConnectionFacts {
  tls::ProtocolVersion version;
  const tls::CipherSuite* suite;
  tls::Role role;
  bool resumed;
  std::string peer_name;
  std::size_t host;  // server role: whose certificate was shown, see tls::Negotiated
  std::optional<tls::PeerCertificate> peer_certificate = std::nullopt;
  std::string psk_identity = {};
  tls::OwnCertificate own_certificate = {};
  std::string alpn;
};

// Borrows the descriptor, the loop and the system calls; they outlive it. Sends no alert by itself
// when destroyed: whoever ends the connection says how.
class Connection {
 public:
  // What a control record meant.
  enum class Control : std::uint8_t { kContinue, kCloseNotify };

  // Takes a finished handshake over: computes first, acts last. Attaches the upper-layer protocol,
  // installs RX, then TX, as `intended` says. A refusal by the kernel is not an error: that
  // direction goes on in userspace, and plan() says why; a policy that fails closed asks
  // plan().satisfies() before anything is relayed. Error: kCrypto when a userspace state cannot be
  // made; nothing has been sent then.
  // `fd` must have no bytes in flight: the handshake's output is written, its reader is at a
  // record boundary.
  [[nodiscard]] static ktls::Result<std::unique_ptr<Connection>> adopt(
      Loop& loop, int fd, tls::Negotiated negotiated,
      std::unique_ptr<tls::PostHandshake> post_handshake, const Plan& intended,
      const KeyPolicy& keys = {}, ktls::Syscalls& syscalls = ktls::system_calls());

  [[nodiscard]] int fd() const { return fd_; }
  // The same socket by another descriptor, for a connection whose socket is with others: this one
  // may be closed then. Nothing is under way on it.
  void change_descriptor(int fd);
  [[nodiscard]] const ConnectionFacts& facts() const { return facts_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }  // as it came out
  [[nodiscard]] Receiver& receiver() { return *receiver_; }
  [[nodiscard]] Sender& sender() { return *sender_; }

  // The next application data, up to kBufferSize bytes of it; empty after close_notify. Acts on the
  // control records before it. Errors: those of the receiver and of act_on(); kEndOfStream for a
  // bare FIN, which may have cut something off. One task at a time receives, here or from
  // receiver().
  [[nodiscard]] Task<ktls::Result<Buffer>> receive(Scope& scope);

  // Application data came from receiver(): control records are counted anew.
  void data_received() { control_records_in_a_row_ = 0; }

  // Acts on a control record: alerts, tickets, KeyUpdate. The next key is in use when it returns:
  // the kernel receives nothing before. Errors carry the alert to send, or are kPeerAlert;
  // kRekeyImpossible for a KeyUpdate that a direction in the kernel cannot follow, kKeyUpdateFlood
  // for one too many.
  [[nodiscard]] Task<ktls::Result<Control>> act_on(Scope& scope, const ControlRecord& record);

  // Changes our key and asks the peer for its next one, which act_on() follows when it comes.
  // Errors: kUnsupported where one of both cannot be changed, and nothing is sent; otherwise those
  // of Sender::update_key().
  [[nodiscard]] Task<ktls::Result<void>> exchange_keys(Scope& scope);

  // Sends an alert, at the level that its description implies. Errors: those of the socket and the
  // scope; kProtocolViolation after a record that went out in part.
  [[nodiscard]] Task<ktls::Result<void>> send_alert(Scope& scope, tls::AlertDescription alert);

  // No ticket is taken from now on; what the handshake kept for that is freed.
  void release_handshake() { post_handshake_->release(); }

  // Tells `observer`, which is borrowed, from now on.
  void observe(ConnectionObserver& observer) {
    observer_ = &observer;
    sender_->observe(observer);
  }

  // Records that one key may seal.
  [[nodiscard]] std::uint64_t key_limit() const {
    return record_limit(key_policy_, facts_.version, *facts_.suite);
  }
  // KeyUpdates of the peer that were followed.
  [[nodiscard]] std::uint64_t key_updates_received() const { return key_updates_received_; }

 private:
  Connection(Loop& loop, int fd, tls::Negotiated& negotiated,
             std::unique_ptr<tls::PostHandshake> post_handshake, const KeyPolicy& keys);

  [[nodiscard]] ktls::Result<void> place(tls::Negotiated negotiated, const Plan& intended,
                                         ktls::Syscalls& syscalls);
  void receive_in_kernel(ktls::Syscalls& syscalls);
  [[nodiscard]] ktls::Result<void> receive_in_userspace(tls::ConnectionState state);
  [[nodiscard]] ktls::Result<void> send_in_userspace(tls::ConnectionState state,
                                                     std::size_t record_size, KeyChain keys);
  void send_in_kernel(ktls::Syscalls& syscalls, std::size_t record_size, std::uint64_t sequence,
                      KeyChain keys);
  [[nodiscard]] KeyBudget budget_from(std::uint64_t sequence) const;

  // One more that was understood, before anything is done about it. Error: kLimitReached.
  [[nodiscard]] ktls::Result<void> count_control_record();
  [[nodiscard]] ktls::Result<Control> act_on_alert(const ControlRecord& record);
  [[nodiscard]] Task<ktls::Result<void>> act_on_handshake(Scope& scope,
                                                          const ControlRecord& record);
  [[nodiscard]] Task<ktls::Result<void>> act_on_key_update(Scope& scope, bool update_requested);

  Loop* loop_;
  int fd_;
  ConnectionFacts facts_;
  Plan plan_;
  tls::RecordLayer layer_;  // the directions that run in userspace; closed for the others
  KeyChain read_keys_;
  KeyPolicy key_policy_;
  UpdateRate update_rate_;
  std::unique_ptr<tls::PostHandshake> post_handshake_;
  std::unique_ptr<Receiver> receiver_;
  std::unique_ptr<Sender> sender_;
  ConnectionObserver* observer_ = nullptr;
  std::uint64_t key_updates_received_ = 0;
  std::uint32_t control_records_in_a_row_ = 0;
  bool write_closed_ = false;  // close_notify has been sent: nothing may follow it
};

}  // namespace bridge
