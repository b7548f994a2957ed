// A peer by GnuTLS.

#include <memory>
#include <string>
#include <utility>

#include <gnutls/gnutls.h>

#include "tests/conformance/tls_stream.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using Outcome = Attempt::Outcome;

template <auto kFree>
struct Deleter {
  template <typename Object>
  void operator()(Object* object) const {
    kFree(object);
  }
};
using Credentials = std::unique_ptr<gnutls_certificate_credentials_st,
                                    Deleter<gnutls_certificate_free_credentials>>;
using Session = std::unique_ptr<gnutls_session_int, Deleter<gnutls_deinit>>;

Error error_of(int answer, std::string_view call) {
  return Error::of(ErrorCode::kHandshakeFailed, std::string(call) + ": " + gnutls_strerror(answer));
}

class GnutlsStream final : public TlsStream {
 public:
  GnutlsStream(Credentials credentials, Session session)
      : credentials_(std::move(credentials)), session_(std::move(session)) {}

  Result<Attempt> shake_hands() override {
    return outcome_of(gnutls_handshake(session_.get()), "gnutls_handshake");
  }

  Result<Attempt> send(std::span<const std::uint8_t> content) override {
    return outcome_of(gnutls_record_send(session_.get(), content.data(), content.size()),
                      "gnutls_record_send");
  }

  Result<Attempt> receive(std::span<std::uint8_t> content) override {
    const ssize_t size = gnutls_record_recv(session_.get(), content.data(), content.size());
    if (size == 0) return Attempt{Outcome::kClosed};
    return outcome_of(size, "gnutls_record_recv");
  }

  Result<Attempt> close_notify() override {
    return outcome_of(gnutls_bye(session_.get(), GNUTLS_SHUT_WR), "gnutls_bye");
  }

 private:
  Result<Attempt> outcome_of(ssize_t answer, std::string_view call) const {
    if (answer >= 0) return Attempt{Outcome::kDone, static_cast<std::size_t>(answer)};
    const int error = static_cast<int>(answer);
    if (error == GNUTLS_E_AGAIN) {
      const bool writes = gnutls_record_get_direction(session_.get()) == 1;
      return Attempt{writes ? Outcome::kNeedsOutput : Outcome::kNeedsInput};
    }
    // Warnings, tickets: the call is to be made again.
    if (gnutls_error_is_fatal(error) == 0) return Attempt{Outcome::kNeedsInput};
    return ktls::fail(error_of(error, call));
  }

  Credentials credentials_;
  Session session_;
};

// The priority string that leaves one version and one suite.
std::string priority_of(const Cell& cell) {
  const bool is_13 = cell.version == tls::ProtocolVersion::kTls13;
  return "NORMAL:-VERS-ALL:+VERS-TLS" + std::string(is_13 ? "1.3" : "1.2:-KX-ALL:+ECDHE-ECDSA") +
         ":-CIPHER-ALL:+" + std::string(cell.suite->bulk_cipher->name);
}

Result<Credentials> load_credentials(tls::Role role, const Surroundings& surroundings) {
  gnutls_certificate_credentials_t made = nullptr;
  int answer = gnutls_certificate_allocate_credentials(&made);
  Credentials credentials(made);
  if (answer == 0 && role == tls::Role::kServer) {
    answer =
        gnutls_certificate_set_x509_key_file(made, surroundings.certificate_file.c_str(),
                                             surroundings.key_file.c_str(), GNUTLS_X509_FMT_PEM);
  }
  if (answer < 0) return ktls::fail(error_of(answer, "gnutls credentials"));
  return credentials;
}

// So that a client has to do with tickets.
int send_tickets(gnutls_session_t session) {
  gnutls_datum_t key{};
  int answer = gnutls_session_ticket_key_generate(&key);
  if (answer == 0) answer = gnutls_session_ticket_enable_server(session, &key);
  gnutls_free(key.data);
  return answer;
}

}  // namespace

Result<std::unique_ptr<TlsStream>> make_gnutls_stream(const Cell& cell, tls::Role role, int fd,
                                                      const Surroundings& surroundings) {
  KTLS_TRY(Credentials credentials, load_credentials(role, surroundings));
  gnutls_session_t made = nullptr;
  const unsigned side = role == tls::Role::kClient ? GNUTLS_CLIENT : GNUTLS_SERVER;
  int answer = gnutls_init(&made, side | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
  Session session(made);
  if (answer == 0) {
    answer = gnutls_priority_set_direct(made, priority_of(cell).c_str(), nullptr);
  }
  if (answer == 0) {
    answer = gnutls_credentials_set(made, GNUTLS_CRD_CERTIFICATE, credentials.get());
  }
  if (answer == 0 && role == tls::Role::kServer) answer = send_tickets(made);
  if (answer < 0) return ktls::fail(error_of(answer, "gnutls session " + priority_of(cell)));
  gnutls_transport_set_int(made, fd);
  gnutls_handshake_set_timeout(made, GNUTLS_INDEFINITE_TIMEOUT);
  return std::make_unique<GnutlsStream>(std::move(credentials), std::move(session));
}

}  // namespace conformance
