// The handshake's steps: a record in, what libssl makes of it out, and the hand-over at the end.
#include "userspace/handshake/openssl/handshake.h"

#include <algorithm>
#include <string>
#include <utility>

#include <openssl/err.h>

#include "userspace/handshake/openssl/failure.h"
#include "userspace/handshake/openssl/handover.h"
#include "userspace/handshake/openssl/own_certificate.h"
#include "userspace/handshake/openssl/peer_certificate.h"
#include "userspace/handshake/openssl/psk_callbacks.h"
#include "userspace/handshake/openssl/record_size_limit.h"
#include "userspace/handshake/openssl/ssl_handshake.h"
#include "userspace/handshake/openssl/ssl_ticket_sink.h"
#include "userspace/handshake/record_header.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/refuse.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// libssl bounds each message but not their number: in TLS 1.2 a server may send HelloRequests for
// ever. The longest honest handshake is a certificate chain (libssl: 100 KiB) in small records.
constexpr std::size_t kHandshakeRecordsMax = 1024;
constexpr std::size_t kHandshakeBytesMax = std::size_t{1} << 20;

tl::unexpected<Error> violation(std::string_view detail) {
  return fail(Error::of(ErrorCode::kProtocolViolation, detail));
}

// Whether the peer has shown one, now or when the session began.
bool has_certificate(const SSL* ssl) {
  return SSL_get0_peer_certificate(ssl) != nullptr;
}

}  // namespace

Result<std::unique_ptr<Handshake>> Handshake::create(const std::shared_ptr<Context>& context,
                                                     Role role, const std::string& server_name) {
  auto ssl_context = std::dynamic_pointer_cast<SslContext>(context);
  if (!ssl_context || ssl_context->role() != role) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "a context of the other role"));
  }
  KTLS_TRY(auto connection, SslConnection::create(std::move(ssl_context), server_name));
  return std::make_unique<SslHandshake>(std::move(connection));
}

SslHandshake::SslHandshake(std::unique_ptr<SslConnection> connection)
    : connection_(std::move(connection)) {
  connection_->observe(this);
}

SslHandshake::~SslHandshake() {
  if (connection_) connection_->observe(nullptr);
}

Result<Handshake::Progress> SslHandshake::advance(std::span<const std::uint8_t> record) {
  if (stage_ != Stage::kCreated && stage_ != Stage::kRunning) {
    return violation("advance: the handshake is over");
  }
  if (record.empty() && stage_ == Stage::kRunning) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "advance: a record is needed"));
  }
  auto progress = record.empty() ? step() : take(record);
  if (!progress) {
    stage_ = Stage::kFailed;
  } else {
    stage_ = *progress == Progress::kDone ? Stage::kDone : Stage::kRunning;
  }
  return progress;
}

Result<Handshake::Progress> SslHandshake::take(std::span<const std::uint8_t> record) {
  if (record.size() < kRecordHeaderSize) return fail(not_tls(record));
  const auto body_size = record_body_size(record.first<kRecordHeaderSize>());
  if (!body_size) return object_to(record.first(kRecordHeaderSize));
  if (record.size() != kRecordHeaderSize + *body_size) {
    return fail(Error::of(ErrorCode::kInvalidArgument, "advance: not exactly one record"));
  }
  bytes_taken_ += record.size();
  if (bytes_taken_ > kHandshakeBytesMax ||
      read_counter_.records_observed() == kHandshakeRecordsMax) {
    return fail(Error::of(ErrorCode::kLimitReached,
                          "the peer's handshake is longer than 1 MiB or 1024 records"));
  }
  read_counter_.observe(record);
  if (auto fed = connection_->feed(record); !fed) return fail(fed.error());
  return step();
}

// To what speaks no TLS no alert is sent. Where TLS was spoken before, libssl may object to the
// header alone, and writes the alert.
Result<Handshake::Progress> SslHandshake::object_to(std::span<const std::uint8_t> header) {
  if (read_counter_.records_observed() != 0) {
    if (auto fed = connection_->feed(header); !fed) return fail(fed.error());
    if (auto objected = step(); !objected) return objected;
  }
  return fail(not_tls(header));
}

Result<Handshake::Progress> SslHandshake::step() {
  ERR_clear_error();
  const int answer = SSL_do_handshake(ssl());
  const auto written = connection_->drain();
  write_counter_.observe(written);
  output_.insert(output_.end(), written.begin(), written.end());
  if (answer == 1) return Progress::kDone;
  if (SSL_get_error(ssl(), answer) != SSL_ERROR_WANT_READ) return fail(failure());
  return Progress::kNeedRecord;
}

Error SslHandshake::failure() {
  // A session may be why, and would be offered again.
  if (role() == Role::kClient) {
    connection_->context().sessions().forget(connection_->session_key());
  }
  return failure_of(*connection_, alert_received_, alert_sent_);
}

std::vector<std::uint8_t> SslHandshake::take_output() {
  return std::exchange(output_, {});
}

void SslHandshake::keylog_line(std::string_view line) {
  take_keylog_line(line, secrets_);
}

void SslHandshake::message(bool written, int type, std::span<const std::uint8_t> bytes) {
  RecordCounter& counter = written ? write_counter_ : read_counter_;
  if (type == SSL3_RT_HEADER && bytes.size() == kRecordHeaderSize) {
    counter.announce_record(bytes.first<kRecordHeaderSize>());
  } else if (type == SSL3_RT_HANDSHAKE && !bytes.empty()) {
    counter.announce_handshake_message(bytes[0]);
  } else if (type == SSL3_RT_ALERT && bytes.size() == 2) {
    // Level and description. TLS 1.3 ignores the level (RFC 8446 section 6), and close_notify ends
    // a handshake in any version.
    const bool ends = bytes[0] == static_cast<std::uint8_t>(AlertLevel::kFatal) ||
                      bytes[1] == code_of(AlertDescription::kCloseNotify) ||
                      SSL_version(ssl()) == TLS1_3_VERSION;
    if (ends) (written ? alert_sent_ : alert_received_) = bytes[1];
  }
}

Result<Handshake::Finished> SslHandshake::finish() {
  if (stage_ != Stage::kDone) return violation("finish: the handshake is not done");
  stage_ = Stage::kFinished;
  connection_->observe(nullptr);
  auto finished = hand_over();
  // The server has no more use for libssl; a client's connection has moved to the ticket sink.
  connection_.reset();
  secrets_ = {};
  return finished;
}

Result<Handshake::Finished> SslHandshake::hand_over() {
  const auto id =
      static_cast<std::uint16_t>(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl())));
  const CipherSuite* const suite = find_cipher_suite(id);
  const auto version = static_cast<ProtocolVersion>(SSL_version(ssl()));
  // Also those that a caller named: suites of other kinds were not proved to hand over.
  if (suite == nullptr || suite->bulk_cipher->kind != ProtectionKind::kAead ||
      !suite->serves(version)) {
    return fail(Error::of(ErrorCode::kUnsupported,
                          std::string("no keys can be taken out for the suite ") +
                              SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl()))));
  }
  if (!connection_->all_consumed()) return violation("libssl did not read all of the last record");
  KTLS_TRY(ConnectionKeys keys,
           derive_connection_keys(ssl(), version, *suite, role(), std::move(secrets_)));
  TrafficKeys server_keys = duplicate(keys.read);
  KTLS_TRY(Negotiated negotiated, negotiate(version, *suite, std::move(keys)));

  std::unique_ptr<TicketSink> tickets;
  if (role() == Role::kClient && version == ProtocolVersion::kTls13) {
    KTLS_TRY(ConnectionState shadow,
             ConnectionState::create(version, *suite, std::move(server_keys)));
    tickets = std::make_unique<SslTicketSink>(std::move(connection_), std::move(shadow));
  }
  auto post_handshake =
      make_post_handshake(negotiated.version, negotiated.role, std::move(tickets));
  return Finished{std::move(negotiated), std::move(post_handshake)};
}

Result<Negotiated> SslHandshake::negotiate(ProtocolVersion version, const CipherSuite& suite,
                                           ConnectionKeys keys) {
  KTLS_TRY(std::string alpn, chosen_protocol());
  PskUse psk = psk_use_of(ssl());
  KTLS_TRY(HandedOverStates states,
           hand_over_states(version, suite, read_counter_, write_counter_, keys));
  std::string peer_name;
  std::optional<PeerCertificate> peer_certificate;
  OwnCertificate own_certificate;
  if (role() == Role::kClient) {
    // Who has a pre-shared key is nobody by name.
    if (connection_->context().verify() && has_certificate(ssl())) {
      peer_name = connection_->server_name();
    }
  } else {
    const char* const name = SSL_get_servername(ssl(), TLSEXT_NAMETYPE_host_name);
    if (name != nullptr) peer_name = name;
    peer_certificate = peer_certificate_of(ssl());
    own_certificate = own_certificate_of(ssl());
  }
  return Negotiated{
      .version = version,
      .suite = &suite,
      .role = role(),
      .resumed = psk.resumed,
      .peer_name = std::move(peer_name),
      .host = connection_->choice().host,
      .peer_certificate = std::move(peer_certificate),
      .psk_identity = std::move(psk.identity),
      .own_certificate = std::move(own_certificate),
      .alpn = std::move(alpn),
      .fragment_size_max = fragment_size_max(*connection_),
      .read = std::move(states.read),
      .write = std::move(states.write),
      .read_secret = std::move(keys.read_secret),
      .write_secret = std::move(keys.write_secret),
  };
}

Result<std::string> SslHandshake::chosen_protocol() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl(), &name, &size);
  std::string chosen(reinterpret_cast<const char*>(name), size);
  const auto& offered = connection_->context().alpn();
  if (!chosen.empty() && std::ranges::find(offered, chosen) == offered.end()) {
    // Newer releases of libssl 3.0 check this themselves, older ones leave it to their caller.
    return refuse(ErrorCode::kHandshakeFailed, AlertDescription::kIllegalParameter,
                  "the server chose an ALPN protocol that was not offered");
  }
  return chosen;
}

}  // namespace tls
