// adopt() and what control records mean to an adopted connection.

#include "userspace/bridge/connection.h"

#include <array>
#include <optional>
#include <utility>
#include <variant>

#include "ktls/core/socket.h"
#include "userspace/bridge/kernel_transport.h"
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

// A state on its way into the kernel, with what is needed to go back to userspace.
struct Candidate {
  ktls::RecordKeys keys;
  ktls::CryptoInfo info;
};

Result<Candidate> encode_state(ConnectionState state) {
  KTLS_TRY(ktls::RecordKeys keys, ConnectionState::into_record_keys(std::move(state)));
  KTLS_TRY(ktls::CryptoInfo info, ktls::encode(keys));
  return Candidate{std::move(keys), std::move(info)};
}

// The way back: there is still one holder, as the kernel took nothing.
Result<ConnectionState> decode_state(tls::ProtocolVersion version, const tls::CipherSuite& suite,
                                     const Candidate& candidate) {
  tls::TrafficKeys keys{
      tls::WriteKey(candidate.keys.key.bytes()), tls::WriteIv(candidate.keys.iv.bytes()), {}};
  return ConnectionState::create(
      version, suite, std::move(keys),
      {.sequence = candidate.keys.sequence, .explicit_nonce = candidate.keys.explicit_nonce});
}

// Installs one direction, or brings its state back and says why. `refusal`: what attaching met.
Result<std::optional<ConnectionState>> install(ktls::TlsSocket& socket, Direction direction,
                                               const ConnectionFacts& facts, Candidate candidate,
                                               Reason refusal, DirectionPlan& outcome) {
  if (refusal == Reason::kNone) {
    const auto installed = socket.install(direction, candidate.info);
    if (installed) return std::optional<ConnectionState>();
    refusal = ktls::reason_of_install(installed.error().sys_errno);
  }
  outcome = {Placement::kUserspace, refusal};
  KTLS_TRY(ConnectionState state, decode_state(facts.version, *facts.suite, candidate));
  return std::optional<ConnectionState>(std::move(state));
}

}  // namespace

Connection::Connection(Loop& loop, int fd, tls::Negotiated& negotiated,
                       std::unique_ptr<tls::PostHandshake> post_handshake)
    : loop_(&loop),
      fd_(fd),
      facts_{.version = negotiated.version,
             .suite = negotiated.suite,
             .role = negotiated.role,
             .resumed = negotiated.resumed,
             .peer_name = std::move(negotiated.peer_name),
             .alpn = std::move(negotiated.alpn)},
      read_secret_(std::move(negotiated.read_secret)),
      write_secret_(std::move(negotiated.write_secret)),
      post_handshake_(std::move(post_handshake)) {}

Result<std::unique_ptr<Connection>> Connection::adopt(
    Loop& loop, int fd, tls::Negotiated negotiated,
    std::unique_ptr<tls::PostHandshake> post_handshake, const Plan& intended,
    ktls::Syscalls& syscalls) {
  std::unique_ptr<Connection> connection(
      new Connection(loop, fd, negotiated, std::move(post_handshake)));
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
    KTLS_TRY(read, install(socket, Direction::kReceive, facts_, *std::move(receive), refusal,
                           plan_.receive));
  }
  if (transmit) {
    // Before the keys, which nothing takes back: without the limit the kernel does not get them.
    const bool is_limited = negotiated.fragment_size_max < tls::kPlaintextSizeMax;
    const auto payload_max = static_cast<std::uint16_t>(negotiated.fragment_size_max);
    if (refusal == Reason::kNone && is_limited && !socket.set_payload_max(payload_max)) {
      refusal = Reason::kRecordSizeLimited;
    }
    KTLS_TRY(write, install(socket, Direction::kTransmit, facts_, *std::move(transmit), refusal,
                            plan_.transmit));
  }
  if (read) {
    layer_.set_pending_read(*std::move(read));
    if (auto changed = layer_.change_read_state(); !changed) return changed;
    receiver_ = std::make_unique<UserspaceReceiver>(*loop_, fd_, layer_);
  } else {
    layer_.close_read();
    receiver_ = std::make_unique<KernelReceiver>(*loop_, fd_, syscalls);
    read_secret_.wipe();  // the kernel has the key of this direction, and it is not changed there
  }
  if (write) {
    layer_.set_fragment_size_max(negotiated.fragment_size_max);
    layer_.set_pending_write(*std::move(write));
    if (auto changed = layer_.change_write_state(); !changed) return changed;
    sender_ = std::make_unique<UserspaceSender>(*loop_, fd_, layer_);
  } else {
    layer_.close_write();
    sender_ = std::make_unique<KernelSender>(*loop_, fd_, syscalls);
    write_secret_.wipe();
  }
  return {};
}

Error Connection::rekey_impossible(std::string_view what) {
  end_reason_ = Reason::kRekeyImpossible;
  return Error::alerting(ErrorCode::kUnsupported, tls::code_of(AlertDescription::kInternalError),
                         what);
}

Result<Connection::Control> Connection::act_on_alert(const ControlRecord& record) {
  if (record.content.size() != kAlertSize) {
    return tls::refuse(ErrorCode::kDecodeError, AlertDescription::kDecodeError,
                       "an alert record is not 2 bytes long");
  }
  const auto level = record.content[0];
  const auto alert = static_cast<AlertDescription>(record.content[1]);
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

Task<Result<void>> Connection::act_on_key_update(Scope& scope, bool update_requested) {
  if (!receiver_->can_change_state()) {
    co_return ktls::fail(
        rekey_impossible("the peer changed its key, and receiving is in the "
                         "kernel"));
  }
  auto secret = tls::derive_next_traffic_secret(*facts_.suite, read_secret_);
  if (!secret) co_return ktls::fail(std::move(secret).error());
  auto keys = tls::derive_traffic_keys(*facts_.suite, *secret);
  if (!keys) co_return ktls::fail(std::move(keys).error());
  auto state = ConnectionState::create(facts_.version, *facts_.suite, *std::move(keys));
  if (!state) co_return ktls::fail(std::move(state).error());
  if (auto changed = receiver_->change_state(*std::move(state)); !changed) co_return changed;
  read_secret_ = *std::move(secret);

  if (!update_requested || write_closed_) co_return Result<void>();
  if (!sender_->can_change_state()) {
    co_return ktls::fail(
        rekey_impossible("the peer asked for a new key of ours, and sending is "
                         "in the kernel"));
  }
  // Whoever receives must not wait for a peer that does not read: it may be waiting for us to.
  key_update_owed_ = true;
  if (sender_->busy()) co_return Result<void>();
  co_return co_await send_owed(scope);
}

Task<Result<void>> Connection::send_owed(Scope& scope) {
  if (!std::exchange(key_update_owed_, false) || write_closed_) co_return Result<void>();
  co_return co_await update_write_key(scope);
}

Task<Result<void>> Connection::update_write_key(Scope& scope) {
  if (!sender_->can_change_state()) {
    co_return ktls::fail(Error::of(ErrorCode::kUnsupported, "sending is in the kernel"));
  }
  auto secret = tls::derive_next_traffic_secret(*facts_.suite, write_secret_);
  if (!secret) co_return ktls::fail(std::move(secret).error());
  auto keys = tls::derive_traffic_keys(*facts_.suite, *secret);
  if (!keys) co_return ktls::fail(std::move(keys).error());
  auto state = ConnectionState::create(facts_.version, *facts_.suite, *std::move(keys));
  if (!state) co_return ktls::fail(std::move(state).error());
  write_secret_ = *std::move(secret);
  // KeyUpdate { update_not_requested }: RFC 8446 sections 4 and 4.6.3.
  const std::array<std::uint8_t, 5> key_update = {24, 0, 0, 1, 0};
  co_return co_await sender_->change_state(scope, key_update, *std::move(state));
}

Task<Result<Connection::Control>> Connection::act_on(Scope& scope, const ControlRecord& record) {
  if (++control_records_in_a_row_ > kControlRecordsMax) {
    co_return tls::refuse(ErrorCode::kLimitReached, AlertDescription::kUnexpectedMessage,
                          "too many control records in a row");
  }
  if (record.type != ContentType::kHandshake && post_handshake_->inside_message()) {
    co_return tls::refuse(ErrorCode::kUnexpectedMessage, AlertDescription::kUnexpectedMessage,
                          "a record of another type within a handshake message");
  }
  if (record.type == ContentType::kAlert) co_return act_on_alert(record);
  if (record.type != ContentType::kHandshake) {
    co_return ktls::fail(Error::alerting(
        ErrorCode::kUnexpectedMessage, tls::code_of(AlertDescription::kUnexpectedMessage),
        "a record of a type that has no place after the handshake"));
  }
  auto events = post_handshake_->receive(record.content);
  if (!events) co_return ktls::fail(std::move(events).error());
  for (const tls::PostHandshakeEvent& event : *events) {
    if (const auto* update = std::get_if<tls::KeyUpdateReceived>(&event)) {
      if (auto done = co_await act_on_key_update(scope, update->update_requested); !done) {
        co_return ktls::fail(std::move(done).error());
      }
    } else if (std::holds_alternative<tls::RenegotiationRequested>(event)) {
      if (sender_->busy() || write_closed_) continue;  // RFC 5246 section 7.4.1.1: may be ignored
      if (auto sent = co_await send_alert(scope, AlertDescription::kNoRenegotiation); !sent) {
        co_return ktls::fail(std::move(sent).error());
      }
    }
  }
  co_return Control::kContinue;
}

Task<Result<void>> Connection::send_alert(Scope& scope, AlertDescription alert) {
  if (alert == AlertDescription::kCloseNotify) write_closed_ = true;
  const bool is_warning = alert == AlertDescription::kCloseNotify ||
                          alert == AlertDescription::kNoRenegotiation ||
                          alert == AlertDescription::kUserCanceled;
  const auto level = is_warning ? tls::AlertLevel::kWarning : tls::AlertLevel::kFatal;
  const std::array<std::uint8_t, kAlertSize> content = {static_cast<std::uint8_t>(level),
                                                        tls::code_of(alert)};
  co_return co_await sender_->send_record(scope, ContentType::kAlert, content);
}

}  // namespace bridge
