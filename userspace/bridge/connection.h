// Connection: an established TLS connection, each of whose directions runs where adopt() could put
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "ktls/core/syscalls.h"
#include "userspace/bridge/plan.h"
#include "userspace/bridge/transport.h"
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
      ktls::Syscalls& syscalls = ktls::system_calls());

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const ConnectionFacts& facts() const { return facts_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }  // as it came out
  [[nodiscard]] Receiver& receiver() { return *receiver_; }
  [[nodiscard]] Sender& sender() { return *sender_; }

  // Application data came: control records are counted anew.
  void data_received() { control_records_in_a_row_ = 0; }

  // Acts on a control record: alerts, tickets, KeyUpdate. Errors carry the alert to send, or are
  // kPeerAlert. A KeyUpdate that a direction in the kernel would have to follow is kUnsupported,
  // and end_reason() is kRekeyImpossible from then on.
  [[nodiscard]] Task<ktls::Result<Control>> act_on(Scope& scope, const ControlRecord& record);

  // Sends what act_on() had to leave for later, as another task was sending: before the next
  // application data (RFC 8446 section 4.6.3). Errors: those of update_write_key().
  [[nodiscard]] Task<ktls::Result<void>> send_owed(Scope& scope);

  // Changes our own writing key: KeyUpdate { update_not_requested } (RFC 8446 section 4.6.3).
  // TLS 1.3 only. Errors: kUnsupported where sending is in the kernel; those of the socket and the
  // scope.
  [[nodiscard]] Task<ktls::Result<void>> update_write_key(Scope& scope);

  // Sends an alert, at the level that its description implies. Errors: those of the socket and the
  // scope; kProtocolViolation after a record that went out in part.
  [[nodiscard]] Task<ktls::Result<void>> send_alert(Scope& scope, tls::AlertDescription alert);

  // No ticket is taken from now on; what the handshake kept for that is freed.
  void release_handshake() { post_handshake_->release(); }

  // The Reason that ended the connection, kNone if none did.
  [[nodiscard]] ktls::Reason end_reason() const { return end_reason_; }

 private:
  Connection(Loop& loop, int fd, tls::Negotiated& negotiated,
             std::unique_ptr<tls::PostHandshake> post_handshake);

  [[nodiscard]] ktls::Result<void> place(tls::Negotiated negotiated, const Plan& intended,
                                         ktls::Syscalls& syscalls);
  [[nodiscard]] ktls::Result<Control> act_on_alert(const ControlRecord& record);
  [[nodiscard]] Task<ktls::Result<void>> act_on_key_update(Scope& scope, bool update_requested);
  [[nodiscard]] ktls::Error rekey_impossible(std::string_view what);

  Loop* loop_;
  int fd_;
  ConnectionFacts facts_;
  Plan plan_;
  tls::RecordLayer layer_;  // the directions that run in userspace; closed for the others
  tls::TrafficSecret read_secret_;
  tls::TrafficSecret write_secret_;
  std::unique_ptr<tls::PostHandshake> post_handshake_;
  std::unique_ptr<Receiver> receiver_;
  std::unique_ptr<Sender> sender_;
  ktls::Reason end_reason_ = ktls::Reason::kNone;
  std::uint32_t control_records_in_a_row_ = 0;
  bool key_update_owed_ = false;
  bool write_closed_ = false;  // close_notify has been sent: nothing may follow it
};

}  // namespace bridge
