// One connection, one request after the other.

#include "tools/ktls-bridge/serve_session.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "ktls/core/reason.h"
#include "tools/common/address.h"
#include "tools/http/authority.h"
#include "tools/http/body_skipper.h"
#include "tools/http/kept_responses.h"
#include "tools/http/request.h"
#include "tools/http/target.h"
#include "tools/ktls-bridge/admission.h"
#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/ktls-bridge/response_sender.h"
#include "tools/ktls-bridge/tls_session.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/relay.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/cipher_suite.h"

namespace tools {
namespace {

using bridge::Connection;
using bridge::Loop;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

// A body of a request that nobody wants is read to its end if it is as short as this, so that the
// connection can go on.
constexpr std::uint64_t kUnwantedBodyMax = 65'536;
constexpr milliseconds kNoTime{0};

// Whether it is known where the next request begins, without reading a body of any size. Who waits
// for a 100 before it sends its body may, or may not, send it after the response.
bool ends_where_told(const http::Request& request) {
  if (request.body == http::Body::kNone) return true;
  if (request.expects_continue) return false;
  return request.body == http::Body::kChunked || request.content_length <= kUnwantedBodyMax;
}

// From where a request begins, as far as it came.
std::string_view without_empty_lines(std::string_view received) {
  return received.substr(std::min(received.find_first_not_of("\r\n"), received.size()));
}

// What the end of reading means.
enum class Turn : std::uint8_t { kRequest, kRefused, kClosing };

class HttpSession {
 public:
  HttpSession(Loop& loop, Cancellation& cancellation, const ServeSetting& setting,
              const SocketAddress& peer, Connection& connection, ConnectionLog& line)
      : loop_(loop),
        cancellation_(cancellation),
        setting_(setting),
        connection_(connection),
        line_(line),
        peer_(peer.host_text()),
        peer_port_(peer.port()),
        site_(connection.facts().host),
        reader_(setting.options.request),
        sender_(loop, cancellation, connection, setting.options.pace, setting.options.content,
                this_thread().fixed_files) {}

  // Until the connection is closed; the line says how.
  [[nodiscard]] Task<void> run();

 private:
  // The next request in request_, or a refusal in refusal_, or nothing more to come.
  [[nodiscard]] Task<Result<Turn>> read();
  // One request and its response. False: it was the last.
  [[nodiscard]] Task<Result<bool>> serve_one();
  [[nodiscard]] Task<Result<void>> respond(const http::Response& response,
                                           const http::Request* request);
  // False: the connection cannot go on behind it.
  [[nodiscard]] Task<Result<bool>> skip_body(const http::Request& request);
  [[nodiscard]] Task<Result<std::size_t>> receive(milliseconds timeout, OnDrain on_drain);
  [[nodiscard]] http::KeptResponses::Answer answer(const http::Request& request);
  // The site that the request is for, whatever the connection is for.
  [[nodiscard]] std::size_t site_of(const http::Request& request) const;
  [[nodiscard]] milliseconds time_left() const;
  [[nodiscard]] Task<Result<void>> let_take(bridge::Delivery delivery);
  // Says `alert` behind all that was sent and gives the client the time to take it; resets the
  // connection of one that does not.
  [[nodiscard]] Task<Result<void>> end_by(tls::AlertDescription alert);
  [[nodiscard]] Task<void> close();
  [[nodiscard]] Task<void> fail(Error error);
  // What became of a response, for the access log.
  struct Outcome {
    int status;
    unsigned ranges;
    std::chrono::steady_clock::time_point begun;
    const Result<void>& sent;
  };
  void log_response(const Outcome& outcome, const http::Request* request) const;

  Loop& loop_;
  Cancellation& cancellation_;
  const ServeSetting& setting_;
  Connection& connection_;
  ConnectionLog& line_;
  std::string peer_;
  std::uint16_t peer_port_;
  std::size_t site_;
  http::RequestReader reader_;
  ResponseSender sender_;
  std::string input_;  // from the beginning of the present request on; its views are of this
  std::optional<http::Request> request_;
  http::Refusal refusal_;
  std::uint64_t requests_ = 0;
  bridge::Clock::time_point head_begun_;
};

milliseconds HttpSession::time_left() const {
  const auto elapsed = std::chrono::duration_cast<milliseconds>(loop_.now() - head_begun_);
  return std::max(setting_.options.request_timeout - elapsed, kNoTime);
}

// Bytes that came, 0 at close_notify.
Task<Result<std::size_t>> HttpSession::receive(milliseconds timeout, OnDrain on_drain) {
  Phase phase(loop_, cancellation_, timeout, on_drain);
  auto data = co_await connection_.receive(phase.scope());
  if (!data) co_return ktls::fail(std::move(data).error());
  const auto bytes = data->bytes();
  input_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  line_.received += bytes.size();
  co_return bytes.size();
}

Task<Result<Turn>> HttpSession::read() {
  if (!input_.empty()) head_begun_ = loop_.now();
  for (;;) {
    auto read = reader_.read(input_);
    if (auto* request = std::get_if<http::Request>(&read)) {
      request_ = std::move(*request);
      co_return Turn::kRequest;
    }
    if (const auto* refusal = std::get_if<http::Refusal>(&read)) {
      refusal_ = *refusal;
      co_return Turn::kRefused;
    }
    const bool is_idle = input_.empty();
    auto size = co_await receive(is_idle ? setting_.options.keep_alive : time_left(),
                                 is_idle ? OnDrain::kEnd : OnDrain::kGoOn);
    if (!size) {
      const ErrorCode code = size.error().code;
      const bool is_quiet_end =
          is_idle && (code == ErrorCode::kTimeout ||
                      (code == ErrorCode::kCancelled && !cancellation_.cancelled()));
      if (is_quiet_end) co_return Turn::kClosing;
      if (code != ErrorCode::kTimeout) co_return ktls::fail(std::move(size).error());
      refusal_ = {.status = 408, .reason = "the head did not come in time"};
      co_return Turn::kRefused;
    }
    if (*size == 0) {
      if (without_empty_lines(input_).empty()) co_return Turn::kClosing;
      // RFC 9112 section 8: whoever has only finished sending can still read this.
      refusal_ = {.status = 400, .reason = "the connection ended within a head"};
      co_return Turn::kRefused;
    }
    if (is_idle) head_begun_ = loop_.now();
  }
}

std::size_t HttpSession::site_of(const http::Request& request) const {
  // RFC 9112 section 3.2.2: with a target in the absolute form the Host field is ignored.
  const std::string_view host =
      http::host_of(http::absolute_authority(request.target).value_or(request.host()));
  return host.empty() ? site_ : setting_.site_of(host);
}

http::KeptResponses::Answer HttpSession::answer(const http::Request& request) {
  const bool goes_on = requests_ < setting_.options.requests_max && !cancellation_.draining() &&
                       ends_where_told(request);
  const http::Moment moment{.now = http::now_realtime(), .keep_alive = goes_on};
  ServeThread& thread = this_thread();
  if (site_of(request) != site_) {
    // RFC 9110 section 7.4: this connection's certificate was for another name.
    const http::ErrorAnswer misdirected{.status = 421,
                                        .keep_alive = goes_on && request.keep_alive,
                                        .is_head = request.method == http::Method::kHead,
                                        .accepts_html = false,
                                        .extra = {}};
    return http::error_response(misdirected, setting_.policy, moment.now, thread.dates);
  }
  return thread.kept.answer(setting_.sites[site_], request, moment, thread.dates);
}

void HttpSession::log_response(const Outcome& outcome, const http::Request* request) const {
  if (setting_.access_log == nullptr) return;
  const bridge::Plan& plan = connection_.plan();
  const bridge::ConnectionFacts& facts = connection_.facts();
  const auto elapsed = std::chrono::steady_clock::now() - outcome.begun;
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(elapsed);
  http::AccessRecord record{.time = std::chrono::system_clock::now() - duration,
                            .peer = peer_,
                            .peer_port = peer_port_,
                            .host = {},
                            .method = {},
                            .target = {},
                            .protocol = {},
                            .status = static_cast<unsigned>(outcome.status),
                            .sent_bytes = sender_.body_sent(),
                            .duration = duration,
                            .referer = {},
                            .user_agent = {},
                            .tls_version = tls::name_of(facts.version),
                            .cipher_suite = facts.suite->name,
                            .tx = ktls::name_of(plan.transmit.placement),
                            .tx_reason = {},
                            .rx = ktls::name_of(plan.receive.placement),
                            .ranges = outcome.ranges,
                            .ended = {}};
  record.ended = bridge::name_of(outcome.sent ? bridge::Ending::kClean
                                              : bridge::ending_of(outcome.sent.error()));
  if (!plan.transmit.in_kernel()) record.tx_reason = ktls::text_of(plan.transmit.reason).code;
  if (request != nullptr) {
    record.host = request->host();
    record.method = request->method_token;
    record.target = request->target;
    record.protocol = request->version_minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
    record.referer = request->field(http::Field::kReferer).value_or("");
    record.user_agent = request->field(http::Field::kUserAgent).value_or("");
  } else {
    record.target = without_empty_lines(input_);
    record.target = record.target.substr(0, record.target.find_first_of("\r\n"));
  }
  setting_.access_log->append(http::access_line(record, setting_.options.access_log_format));
}

Task<Result<void>> HttpSession::respond(const http::Response& response,
                                        const http::Request* request) {
  const auto begun = std::chrono::steady_clock::now();
  auto sent = co_await sender_.send(response);
  log_response({.status = response.status, .ranges = response.ranges, .begun = begun, .sent = sent},
               request);
  co_return sent;
}

Task<Result<bool>> HttpSession::skip_body(const http::Request& request) {
  http::BodySkipper skipper(request, kUnwantedBodyMax);
  input_.erase(0, request.head_size);
  head_begun_ = loop_.now();  // the response may have taken longer than a request may
  for (;;) {
    input_.erase(0, skipper.skip(input_));
    if (skipper.state() == http::BodySkipper::State::kDone) co_return true;
    if (skipper.state() != http::BodySkipper::State::kNeedMore) co_return false;
    auto size = co_await receive(time_left(), OnDrain::kGoOn);
    // The response to it is whole, and the client's.
    if (!size && size.error().code == ErrorCode::kTimeout) co_return false;
    if (!size) co_return ktls::fail(std::move(size).error());
    if (*size == 0) co_return false;
  }
}

Task<Result<bool>> HttpSession::serve_one() {
  auto turn = co_await read();
  if (!turn) co_return ktls::fail(std::move(turn).error());
  if (*turn == Turn::kClosing) co_return false;
  ++requests_;
  if (*turn == Turn::kRefused) {
    const http::ErrorAnswer refused{.status = refusal_.status,
                                    .keep_alive = false,
                                    .is_head = http::begins_as_head(input_),
                                    .accepts_html = false,
                                    .extra = {}};
    auto sent = co_await respond(
        http::error_response(refused, setting_.policy, http::now_realtime(), this_thread().dates),
        nullptr);
    if (!sent) co_return ktls::fail(std::move(sent).error());
    co_return false;
  }
  const http::Request& request = *request_;
  http::KeptResponses::Answer answered = answer(request);
  if (const auto* const kept = std::get_if<std::shared_ptr<const http::KeptResponse>>(&answered)) {
    const auto begun = std::chrono::steady_clock::now();
    auto sent = co_await sender_.send(**kept);
    log_response({.status = 200, .ranges = 0, .begun = begun, .sent = sent}, &request);
    if (!sent) co_return ktls::fail(std::move(sent).error());
    input_.erase(0, request.head_size);
    co_return true;  // what is kept is for requests without a body, on connections that go on
  }
  const http::Response& response = std::get<http::Response>(answered);
  auto sent = co_await respond(response, &request);
  if (!sent) co_return ktls::fail(std::move(sent).error());
  if (!response.keep_alive) co_return false;
  if (request.body != http::Body::kNone) co_return co_await skip_body(request);
  input_.erase(0, request.head_size);
  co_return true;
}

// What the socket holds is the client's for as long as it goes on taking it: of a response that was
// sent, megabytes may be.
Task<Result<void>> HttpSession::let_take(bridge::Delivery delivery) {
  const int fd = connection_.fd();
  Phase phase(loop_, cancellation_, sender_.pace().grace());
  sender_.pace().watch(phase.scope());
  co_return co_await bridge::await_delivery(loop_, phase.scope(), fd, delivery);
}

Task<Result<void>> HttpSession::end_by(tls::AlertDescription alert) {
  const int fd = connection_.fd();
  auto done = co_await let_take(bridge::Delivery::kRoomForMore);
  if (done) {
    Phase phase(loop_, cancellation_, bridge::kLastWordsTimeout);
    done = co_await bridge::send_last_alert(loop_, phase.scope(), connection_, alert);
  }
  if (done) done = co_await let_take(bridge::Delivery::kAll);
  if (!done) {
    bridge::reset_on_close(fd);
    co_return done;
  }
  Phase phase(loop_, cancellation_, bridge::kLastWordsTimeout);
  co_await bridge::close_gently(loop_, phase.scope(), fd);
  co_return done;
}

Task<void> HttpSession::close() {
  if (const auto closed = co_await end_by(tls::AlertDescription::kCloseNotify); !closed) {
    line_.end(closed.error(), "error");
  } else {
    line_.ended = bridge::name_of(bridge::Ending::kClean);
  }
}

Task<void> HttpSession::fail(Error error) {
  // A client that has ended its side without close_notify may still read what it asked for.
  const bool has_ended = error.code == ErrorCode::kEndOfStream && error.alert == Error::kNoAlert;
  if (has_ended) static_cast<void>(co_await let_take(bridge::Delivery::kAll));
  line_.ended = bridge::name_of(bridge::ending_of(error));
  line_.detail = error.message();
  if (const auto reason = bridge::reason_of_end(error); reason != ktls::Reason::kNone) {
    line_.reason = ktls::text_of(reason).code;
  }
  // It has to get behind all that this client, slow as it may be, was sent before.
  if (const auto alert = bridge::alert_for(error)) {
    static_cast<void>(co_await end_by(*alert));
  } else {
    co_await bridge::abort_peer(loop_, connection_, error, false);
  }
}

Task<void> HttpSession::run() {
  for (;;) {
    auto served = co_await serve_one();
    if (!served) {
      co_await fail(std::move(served).error());
      break;
    }
    if (!*served) {
      co_await close();
      break;
    }
    request_.reset();
  }
  line_.requests = requests_;
  line_.sent = sender_.total();
  line_.take(connection_);
}

}  // namespace

Task<void> serve_session(Loop& loop, Cancellation& cancellation, const ServeSetting& setting,
                         UniqueFd accepted) {
  ConnectionLog line;
  std::optional<CountedPlace> place_taken(setting.tls.counts());
  const auto origin =
      co_await find_origin(loop, cancellation, setting.origin(), setting.tls, accepted);
  if (!origin) co_return;
  line.take(*origin);
  {
    const AddressLimit::Place place = admit(setting.addresses, setting.tls, accepted, origin->peer);
    if (!place) co_return;
    const CountedConnection counted(setting.tls.counts());
    send_at_once(accepted.get());
    const TlsSession session{
        .loop = loop,
        .cancellation = cancellation,
        .setting = setting.tls,
        .line = line,
        .handshake_timeout = origin->rest_of(setting.options.tls.handshake_timeout)};
    const std::unique_ptr<Connection> connection = co_await hand_over(session, accepted.get());
    if (connection != nullptr) {
      HttpSession http(loop, cancellation, setting, origin->peer, *connection, line);
      co_await http.run();
    }
    counted.end(line);
  }
  place_taken.reset();
  // Its place is free by now: whoever reads the line may count on it.
  setting.tls.log().write(LogLevel::kInfo, "connection", line.fields());
}

}  // namespace tools
