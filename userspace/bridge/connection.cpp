// adopt() and what control records mean to an adopted connection.

#include "userspace/bridge/connection.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <variant>

#include "ktls/core/socket.h"
#include "userspace/bridge/kernel_keys.h"
#include "userspace/bridge/kernel_receiver.h"
#include "userspace/bridge/kernel_sender.h"
#include "userspace/bridge/userspace_transport.h"
#include "userspace/suite/refuse.h"

namespace bridge {
namespace {

using ktls::Direction;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Placement;
using ktls::Reason;
using ktls::Result;
using tls::AlertDescription;
using tls::ConnectionState;
using tls::ContentType;

// Warnings, tickets and KeyUpdates cost the peer less than us, and a stream of them would keep us
// busy for ever. BoringSSL takes as many KeyUpdates in a row.
constexpr std::uint32_t kControlRecordsMax = 32;
constexpr std::size_t kAlertSize = 2;

// Installs one direction, or brings its state back and says why. `refusal`: what attaching met.
Result<std::optional<ConnectionState>> install(ktls::TlsSocket& socket, Direction direction,
                                               const ConnectionFacts& facts,
                                               const Candidate& candidate, Reason refusal,
                                               DirectionPlan& outcome) {
  if (refusal == Reason::kNone) {
    const auto installed = socket.install(direction, candidate.info);
    if (installed) return std::optional<ConnectionState>();
    refusal = ktls::reason_of_install(installed.error().sys_errno);
  }
  outcome = {Placement::kUserspace, refusal};
  KTLS_TRY(ConnectionState state, decode_state(facts.version, *facts.suite, candidate));
  return std::optional<ConnectionState>(std::move(state));
}

// The peer's record size; false: this kernel knows 2^14 bytes only.
bool limit_records(ktls::TlsSocket& socket, std::size_t record_size) {
  return record_size >= tls::kPlaintextSizeMax ||
         socket.set_payload_max(static_cast<std::uint16_t>(record_size));
}

KeyUpdates key_updates_in_kernel(const Plan& plan, const KeyChain& read_keys) {
  if (!plan.rekeys) return KeyUpdates::kNothing;
  return read_keys.has_next() ? KeyUpdates::kRekeys : KeyUpdates::kWaits;
}

tl::unexpected<Error> rekey_impossible(std::string_view what) {
  return tls::refuse(ErrorCode::kRekeyImpossible, AlertDescription::kInternalError, what);
}

}  // namespace

Connection::Connection(Loop& loop, int fd, tls::Negotiated& negotiated,
                       std::unique_ptr<tls::PostHandshake> post_handshake, const KeyPolicy& keys)
    : loop_(&loop),
      fd_(fd),
      facts_{.version = negotiated.version,
             .suite = negotiated.suite,
             .role = negotiated.role,
             .resumed = negotiated.resumed,
             .peer_name = std::move(negotiated.peer_name),
             .host = negotiated.host,
             .peer_certificate = std::move(negotiated.peer_certificate),
             .psk_identity = std::move(negotiated.psk_identity),
             .own_certificate = std::move(negotiated.own_certificate),
             .alpn = std::move(negotiated.alpn)},
      read_keys_(*negotiated.suite, std::move(negotiated.read_secret)),
      key_policy_(keys),
      update_rate_(keys.peer_updates_a_second),
      post_handshake_(std::move(post_handshake)) {}

Result<std::unique_ptr<Connection>> Connection::adopt(
    Loop& loop, int fd, tls::Negotiated negotiated,
    std::unique_ptr<tls::PostHandshake> post_handshake, const Plan& intended, const KeyPolicy& keys,
    ktls::Syscalls& syscalls) {
  std::unique_ptr<Connection> connection(
      new Connection(loop, fd, negotiated, std::move(post_handshake), keys));
  if (auto placed = connection->place(std::move(negotiated), intended, syscalls); !placed) {
    return ktls::fail(std::move(placed).error());
  }
  return connection;
}

Result<void> Connection::place(tls::Negotiated negotiated, const Plan& intended,
                               ktls::Syscalls& syscalls) {
  plan_ = intended;
  ktls::TlsSocket socket(fd_, syscalls);

  // Compute first: what the kernel is to be given is ready before it is asked for anything.
  std::optional<ConnectionState> read(std::move(negotiated.read));
  std::optional<ConnectionState> write(std::move(negotiated.write));
  std::optional<Candidate> receive;
  std::optional<Candidate> transmit;
  if (plan_.receive.in_kernel()) {
    KTLS_TRY(receive, encode_state(*std::exchange(read, std::nullopt)));
  }
  if (plan_.transmit.in_kernel()) {
    KTLS_TRY(transmit, encode_state(*std::exchange(write, std::nullopt)));
  }

  // Act last. A refusal costs a direction its place and nothing else: its state comes back.
  Reason refusal = Reason::kNone;
  if (receive || transmit) {
    if (const auto attached = socket.attach(); !attached) {
      refusal = ktls::reason_of_attach(attached.error().sys_errno);
    }
  }
  if (receive) {
    KTLS_TRY(read, install(socket, Direction::kReceive, facts_, *receive, refusal, plan_.receive));
  }
  if (transmit) {
    // Before the keys, which nothing takes back: without the limit the kernel does not get them.
    if (refusal == Reason::kNone && !limit_records(socket, negotiated.fragment_size_max)) {
      refusal = Reason::kRecordSizeLimited;
    }
    KTLS_TRY(write,
             install(socket, Direction::kTransmit, facts_, *transmit, refusal, plan_.transmit));
  }
  if (read) {
    if (auto placed = receive_in_userspace(*std::move(read)); !placed) return placed;
  } else {
    receive_in_kernel(syscalls);
  }
  KeyChain write_keys(*facts_.suite, std::move(negotiated.write_secret));
  if (write) {
    layer_.set_fragment_size_max(negotiated.fragment_size_max);
    return send_in_userspace(*std::move(write), negotiated.fragment_size_max,
                             std::move(write_keys));
  }
  send_in_kernel(syscalls, negotiated.fragment_size_max, transmit->keys.sequence,
                 std::move(write_keys));
  return {};
}

Result<void> Connection::receive_in_userspace(ConnectionState state) {
  layer_.set_pending_read(std::move(state));
  receiver_ = std::make_unique<UserspaceReceiver>(*loop_, fd_, layer_);
  return layer_.change_read_state();
}

void Connection::receive_in_kernel(ktls::Syscalls& syscalls) {
  const KeyUpdates key_updates = key_updates_in_kernel(plan_, read_keys_);
  // A secret that nobody can use is not kept.
  if (key_updates != KeyUpdates::kRekeys) read_keys_ = KeyChain(*facts_.suite, {});
  layer_.close_read();
  const bool is_tls13 = facts_.version == tls::ProtocolVersion::kTls13;
  const KernelReceiveState state{.cipher = *facts_.suite->bulk_cipher->kernel,
                                 .key_updates = key_updates,
                                 .expect_no_padding = plan_.expect_no_padding && is_tls13,
                                 .decrypts_into_buffers = !is_tls13,
                                 .key_wait_max = key_policy_.key_wait_max};
  receiver_ = std::make_unique<KernelReceiver>(*loop_, fd_, syscalls, state);
}

void Connection::change_descriptor(int fd) {
  fd_ = fd;
  receiver_->change_descriptor(fd);
  sender_->change_descriptor(fd);
}

KeyBudget Connection::budget_from(std::uint64_t sequence) const {
  return {record_limit(key_policy_, facts_.version, *facts_.suite), sequence,
          key_policy_.update_interval};
}

Result<void> Connection::send_in_userspace(ConnectionState state, std::size_t record_size,
                                           KeyChain keys) {
  sender_ = std::make_unique<UserspaceSender>(*loop_, fd_, layer_, record_size, std::move(keys),
                                              budget_from(state.sequence()));
  layer_.set_pending_write(std::move(state));
  return layer_.change_write_state();
}

void Connection::send_in_kernel(ktls::Syscalls& syscalls, std::size_t record_size,
                                std::uint64_t sequence, KeyChain keys) {
  if (!plan_.rekeys) keys = KeyChain(*facts_.suite, {});
  layer_.close_write();
  const KernelSendState state{.cipher = *facts_.suite->bulk_cipher->kernel,
                              .rekeys = plan_.rekeys,
                              .zerocopy = plan_.zerocopy_transmit,
                              .record_size = record_size};
  sender_ = std::make_unique<KernelSender>(*loop_, fd_, syscalls, state, std::move(keys),
                                           budget_from(sequence));
}

Result<void> Connection::count_control_record() {
  if (++control_records_in_a_row_ <= kControlRecordsMax) return {};
  return tls::refuse(ErrorCode::kLimitReached, AlertDescription::kUnexpectedMessage,
                     "too many control records in a row");
}

Result<Connection::Control> Connection::act_on_alert(const ControlRecord& record) {
  if (record.content.size() != kAlertSize) {
    return tls::refuse(ErrorCode::kDecodeError, AlertDescription::kDecodeError,
                       "an alert record is not 2 bytes long");
  }
  const auto level = record.content[0];
  const auto alert = static_cast<AlertDescription>(record.content[1]);
  if (observer_ != nullptr) observer_->alert_received(alert);
  if (alert == AlertDescription::kCloseNotify) return Control::kCloseNotify;
  // RFC 8446 section 6: in TLS 1.3 the level is ignored, and only user_canceled is not fatal.
  const bool is_warning = facts_.version == tls::ProtocolVersion::kTls13
                              ? alert == AlertDescription::kUserCanceled
                              : level == static_cast<std::uint8_t>(tls::AlertLevel::kWarning);
  if (is_warning) return Control::kContinue;
  Error error =
      Error::of(ErrorCode::kPeerAlert, "the peer sent alert " + std::string(tls::name_of(alert)));
  error.alert = record.content[1];
  return ktls::fail(std::move(error));
}

Task<Result<Buffer>> Connection::receive(Scope& scope) {
  for (;;) {
    auto step = co_await receiver_->receive(scope);
    if (!step) co_return ktls::fail(std::move(step).error());
    if (auto* data = std::get_if<Buffer>(&*step)) {
      data_received();
      co_return std::move(*data);
    }
    const auto* record = std::get_if<ControlRecord>(&*step);
    if (record == nullptr) {
      co_return ktls::fail(
          Error::of(ErrorCode::kEndOfStream, "the peer closed without close_notify"));
    }
    auto control = co_await act_on(scope, *record);
    if (!control) co_return ktls::fail(std::move(control).error());
    if (*control == Control::kCloseNotify) co_return Buffer();
  }
}

Task<Result<void>> Connection::act_on_key_update(Scope& scope, bool update_requested) {
  if (!update_rate_.take(loop_->now())) {
    co_return tls::refuse(ErrorCode::kKeyUpdateFlood, AlertDescription::kUnexpectedMessage,
                          "the peer changes its key too often");
  }
  if (!receiver_->can_change_state()) {
    co_return rekey_impossible("the peer changed its key, and receiving is in the kernel");
  }
  auto next = read_keys_.next();
  if (!next) co_return ktls::fail(std::move(next).error());
  if (auto changed = receiver_->change_state(*std::move(next)); !changed) {
    co_return rekey_impossible("the peer changed its key, and the kernel refused the next one: " +
                               changed.error().message());
  }
  ++key_updates_received_;
  if (observer_ != nullptr) observer_->key_update_received();
  if (!update_requested || write_closed_) co_return Result<void>();
  if (!sender_->can_update_key()) {
    co_return rekey_impossible(
        "the peer asked for a new key of ours, and sending is in the kernel");
  }
  co_return co_await sender_->answer_update_request(scope);
}

Task<Result<void>> Connection::exchange_keys(Scope& scope) {
  if (!receiver_->can_change_state() || !read_keys_.has_next()) {
    co_return ktls::fail(
        Error::of(ErrorCode::kUnsupported, "the peer's next key cannot be followed here"));
  }
  co_return co_await sender_->update_key(scope, KeyUpdateRequest::kRequested);
}

Task<Result<void>> Connection::act_on_handshake(Scope& scope, const ControlRecord& record) {
  const bool awaits_state = receiver_->awaits_state(record);
  const std::uint64_t updates_before = key_updates_received_;
  auto events = post_handshake_->receive(record.content);
  if (!events) co_return ktls::fail(std::move(events).error());
  const bool updates_key = std::ranges::any_of(*events, [](const tls::PostHandshakeEvent& event) {
    return std::holds_alternative<tls::KeyUpdateReceived>(event);
  });
  if (!updates_key) {  // KeyUpdates have a limit of their own
    if (auto counted = count_control_record(); !counted) co_return counted;
  }
  for (const tls::PostHandshakeEvent& event : *events) {
    if (const auto* update = std::get_if<tls::KeyUpdateReceived>(&event)) {
      auto done = co_await act_on_key_update(scope, update->update_requested);
      if (!done) co_return done;
    } else if (std::holds_alternative<tls::RenegotiationRequested>(event)) {
      if (sender_->busy() || write_closed_) continue;  // RFC 5246 section 7.4.1.1: may be ignored
      auto sent = co_await send_alert(scope, AlertDescription::kNoRenegotiation);
      if (!sent) co_return sent;
    }
  }
  if (!awaits_state || key_updates_received_ != updates_before) co_return Result<void>();
  // Part of a KeyUpdate, or of a message that looks like one where a record begins: the kernel
  // wants a key, and the present one is still right.
  if (!receiver_->can_change_state()) {
    co_return tls::refuse(ErrorCode::kKeyMissing, AlertDescription::kUnexpectedMessage,
                          "the kernel took a handshake record of TLS 1.2 for a KeyUpdate");
  }
  auto sequence = receiver_->sequence();
  if (!sequence) co_return ktls::fail(std::move(sequence).error());
  auto same = read_keys_.same_for_opening(*sequence);
  if (!same) co_return ktls::fail(std::move(same).error());
  co_return receiver_->change_state(*std::move(same));
}

Task<Result<Connection::Control>> Connection::act_on(Scope& scope, const ControlRecord& record) {
  if (record.type != ContentType::kHandshake && post_handshake_->inside_message()) {
    co_return tls::refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                          "a record of another type within a handshake message");
  }
  // RFC 8446 section 5.4; what comes from userspace the record layer has refused already.
  if (record.content.empty() && facts_.version == tls::ProtocolVersion::kTls13) {
    co_return tls::refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                          "a control record without content");
  }
  if (record.type == ContentType::kAlert) {
    auto control = act_on_alert(record);
    if (!control) co_return control;
    if (auto counted = count_control_record(); !counted) {
      co_return ktls::fail(std::move(counted).error());
    }
    co_return control;
  }
  if (record.type != ContentType::kHandshake) {
    co_return ktls::fail(Error::alerting(
        ErrorCode::kUnexpectedMessage, tls::code_of(AlertDescription::kUnexpectedMessage),
        "a record of a type that has no place after the handshake"));
  }
  if (auto done = co_await act_on_handshake(scope, record); !done) {
    co_return ktls::fail(std::move(done).error());
  }
  co_return Control::kContinue;
}

Task<Result<void>> Connection::send_alert(Scope& scope, AlertDescription alert) {
  const bool is_warning = alert == AlertDescription::kCloseNotify ||
                          alert == AlertDescription::kNoRenegotiation ||
                          alert == AlertDescription::kUserCanceled;
  const auto level = is_warning ? tls::AlertLevel::kWarning : tls::AlertLevel::kFatal;
  const std::array<std::uint8_t, kAlertSize> content = {static_cast<std::uint8_t>(level),
                                                        tls::code_of(alert)};
  if (alert == AlertDescription::kCloseNotify) write_closed_ = true;
  auto sent = co_await sender_->send_record(scope, ContentType::kAlert, content);
  if (sent && observer_ != nullptr) observer_->alert_sent(alert);
  // RFC 8446 section 6.1: "Each party MUST send a "close_notify" alert before closing its write
  // side", and nothing after it; nor after a fatal one.
  if (write_closed_ || level == tls::AlertLevel::kFatal) sender_->end();
  co_return sent;
}

}  // namespace bridge
