// From a socket that somebody connected to one that speaks TLS by itself.

#include "tools/broker/welcome.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ktls/core/reason.h"
#include "ktls/observe/socket_diag.h"
#include "tools/broker/datagram.h"
#include "tools/common/address.h"
#include "tools/ktls-bridge/tls_session.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/relay.h"
#include "userspace/bridge/splicing.h"
#include "userspace/suite/cipher_suite.h"

namespace tools {

using bridge::Connection;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

namespace {

// What of the address has a place in an answer: none of other families.
void copy_address(sockaddr_in6& to, const SocketAddress& address) {
  const bool is_internet = address.family() == AF_INET || address.family() == AF_INET6;
  if (!is_internet) return;
  std::memcpy(&to, &address.storage, std::min(sizeof to, std::size_t{address.size}));
}

int errno_of(const ConnectionLog& line) {
  if (!line.failure) return EPROTO;
  switch (*line.failure) {
    case ErrorCode::kVerifyFailed:
      return ECONNREFUSED;
    case ErrorCode::kTimeout:
      return ETIMEDOUT;
    case ErrorCode::kCancelled:
      return ECONNABORTED;
    case ErrorCode::kEndOfStream:
    case ErrorCode::kSystem:
      return ECONNRESET;
    default:
      return EPROTO;
  }
}

}  // namespace

Welcome::Welcome(BrokerState& state, const Client& client, Places::Place place, ForeignFd fd)
    : state_(state),
      client_(client),
      place_(std::move(place)),
      session_(state, fd.get()),
      fd_(std::move(fd)),
      place_taken_(state.as_server.counts()),
      counted_(state.as_server.counts()) {
  line_.peer = peer_text(fd_.get());
  line_.to = "uid:" + std::to_string(client.user);
  line_.program = static_cast<std::uint64_t>(client.process);
  send_at_once(fd_.get());
}

Welcome::~Welcome() {
  counted_.end(line_);
  state_.log.write(LogLevel::kInfo, "connection", line_.fields());
}

TlsSession Welcome::tls_session(const std::string* name) {
  const TlsSetting& setting = name != nullptr ? state_.as_client : state_.as_server;
  return {.loop = state_.loop,
          .cancellation = session_.cancellation(),
          .setting = setting,
          .line = line_,
          .intended = policy_of(setting.options().offload, state_.options.no_rekey),
          .server_name = name};
}

Task<bool> Welcome::establish(const std::string* name) {
  const Handshakes::UnderWay under_way(state_.handshakes, session_.cancellation(), fd_.get());
  const TlsSession session = tls_session(name);
  connection_ = co_await hand_over(session, fd_.get());
  co_return connection_ != nullptr;
}

broker::Answer Welcome::complaint() const {
  return refusal(errno_of(line_), line_.detail.empty() ? line_.ended : line_.detail, line_.reason);
}

bool Welcome::can_be_looked_after() const {
  const bool has_no_limit = connection_->facts().version < tls::ProtocolVersion::kTls13 &&
                            connection_->key_limit() == tls::kNoRecordLimit;
  if (has_no_limit) return true;
  const bool is_visible = client_.process != 0 && (::geteuid() == 0 || client_.user == ::geteuid());
  if (!is_visible) return false;
  const auto identity = ktls::identity_of(fd_.get());
  return identity && ktls::find_held_socket(*identity, false);
}

ktls::Reason Welcome::why_relayed() const {
  const bridge::Plan& plan = connection_->plan();
  if (!plan.transmit.in_kernel()) return plan.transmit.reason;
  if (!plan.receive.in_kernel()) return plan.receive.reason;
  return can_be_looked_after() ? ktls::Reason::kNone : ktls::Reason::kHoldersHidden;
}

// Who runs one program has one line for it, and not one for each connection.
void Welcome::tell_of_relay(ktls::Reason reason) {
  if (!state_.options.is_private() || std::exchange(state_.has_told_of_relay, true)) return;
  const ktls::ReasonText& text = ktls::text_of(reason);
  state_.log.write(LogLevel::kWarning, "relayed",
                   {{"reason", std::string(text.code)},
                    {"detail", std::string(text.sentence) +
                                   ": this process encrypts for the program, here and from now on "
                                   "where it has to"}});
}

Result<void> Welcome::make_stream(const broker::Answer& addresses) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ktls::fail(Error::system(errno, "socketpair"));
  }
  ours_ = UniqueFd(ends[0]);
  theirs_ = UniqueFd(ends[1]);
  KTLS_TRY(cookie_, cookie_of(theirs_.get()));
  broker::StreamName name{.local = addresses.local, .remote = addresses.remote};
  if (::getrandom(name.secret.data(), name.secret.size(), 0) < 0) {
    return ktls::fail(Error::system(errno, "getrandom"));
  }
  sockaddr_un address{};
  const socklen_t size = broker::address_of_name(name, address);
  if (::bind(theirs_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return ktls::fail(Error::system(errno, "bind"));
  }
  return {};
}

Result<broker::Answer> Welcome::introduce() {
  const bridge::ConnectionFacts& facts = connection_->facts();
  broker::Answer answer = answer_of(broker::Kind::kConnection);
  if (const auto local = local_address(fd_.get())) copy_address(answer.local, *local);
  copy_address(answer.remote, peer_address(fd_.get()));
  const ktls::Reason reason = why_relayed();
  if (reason != ktls::Reason::kNone) {
    if (auto made = make_stream(answer); !made) return ktls::fail(std::move(made).error());
    answer.flags |= broker::kIsRelayed;
    copy_text(answer.reason, ktls::text_of(reason).code);
    tell_of_relay(reason);
  } else {
    bridge::make_blocking(fd_.get());
  }
  if (facts.resumed) answer.flags |= broker::kIsResumed;
  answer.tls_version = static_cast<std::uint16_t>(facts.version);
  answer.cipher_suite = facts.suite->id;
  answer.alpn_size =
      static_cast<std::uint16_t>(std::min(facts.alpn.size(), sizeof answer.alpn - 1));
  copy_text(answer.alpn, facts.alpn);
  copy_text(answer.name, facts.peer_name);
  return answer;
}

Task<void> Welcome::let_go() {
  if (!is_relayed()) {
    hand_out();
    co_return;
  }
  theirs_.reset();
  co_await relay();
}

void Welcome::hand_out() {
  line_.handed_out = HandedOut::kDirect;
  line_.ended = "handed_out";
  const auto kept = state_.handed_out.add(std::move(connection_), client_, line_.peer);
  if (kept) return;
  line_.detail = "its secrets are not kept: " + kept.error().message();
  line_.reason = ktls::text_of(ktls::Reason::kSecretsLost).code;
}

Task<void> Welcome::relay() {
  line_.handed_out = HandedOut::kRelay;
  Relays::Relay stream(state_.relays, cookie_, [this] {
    int waiting = 0;
    ::ioctl(ours_.get(), FIONREAD, &waiting);
    return connection_->sender().bytes_taken() + static_cast<std::uint64_t>(waiting);
  });
  const auto idle_timeout = state_.options.idle_timeout;
  Phase phase(state_.loop, session_.cancellation(), idle_timeout);
  const bridge::PlainSide plain{
      .to = ours_.get(), .from = ours_.get(), .is_socket_of_program = true};
  const bridge::RelayReport report = co_await bridge::relay(
      state_.loop, phase.scope(), *connection_, plain, idle_timeout, &stream);
  line_.take(*connection_);
  line_.take(report);
  const bool is_left = report.ending == bridge::Ending::kCancelled && !state_.has_programs &&
                       waits_for_peer_alone(fd_.get());
  if (is_left) line_.ended = bridge::name_of(bridge::Ending::kClean);
  if (report.ending == bridge::Ending::kClean) stream.end_in_order();
}

void Welcome::turn_away(std::string_view why) {
  bridge::reset_on_close(fd_.get());
  count_refusal(state_.as_server.counts(), metrics::Refusal::kMaxHandshakesPerAddress);
  line_.ended = "refused";
  line_.detail = why;
}

Task<void> Welcome::give_up(const Error& why) {
  line_.end(why, "unclaimed");
  line_.ended = "unclaimed";
  co_await refuse(tls_session(nullptr), *connection_);
}

}  // namespace tools
