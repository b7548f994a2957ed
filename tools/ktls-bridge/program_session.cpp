// One connection of `wrap --exec` or `wrap --fd`.

#include "tools/ktls-bridge/program_session.h"

#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>

#include <sys/socket.h>

#include "tools/common/address.h"
#include "tools/ktls-bridge/connection_log.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "tools/ktls-bridge/program_environment.h"
#include "tools/ktls-bridge/signals.h"
#include "tools/ktls-bridge/tls_session.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/feed.h"
#include "userspace/bridge/guard.h"
#include "userspace/bridge/relay.h"

namespace tools {
namespace {

using bridge::Connection;
using bridge::Loop;
using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

// For a program whose connection was ended while it ran: to end by itself, as it can read and write
// no more, and once more between SIGTERM and SIGKILL.
constexpr milliseconds kTerminationTimeout = std::chrono::seconds(5);

// Reaps a program once, for whoever asks first.
class ProgramDeparture final : public bridge::Departure {
 public:
  ProgramDeparture(Loop& loop, Program program) : loop_(loop), program_(std::move(program)) {}

  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] const std::optional<ProgramEnd>& end() const { return end_; }

  // Error: those of the scope.
  [[nodiscard]] Task<Result<void>> ended(Scope& scope) {
    if (end_) co_return Result<void>();
    auto ready = co_await loop_.readable(scope, program_.fd());
    if (!ready) co_return ready;
    if (end_) co_return Result<void>();
    auto end = program_.reap();
    if (!end) co_return ktls::fail(std::move(end).error());
    end_ = *end;
    co_return Result<void>();
  }

  Task<Result<void>> wait(Scope& scope) override {
    auto ready = co_await ended(scope);
    if (!ready) co_return ready;
    if (end_->signal == 0) co_return Result<void>();
    co_return ktls::fail(
        Error::alerting(ErrorCode::kAbandoned, tls::code_of(tls::AlertDescription::kInternalError),
                        "the program was killed by " + name_of_signal(end_->signal)));
  }

 private:
  Loop& loop_;
  Program program_;
  std::optional<ProgramEnd> end_;
};

// One connection on its way through program_session().
struct Session {
  Loop& loop;
  Cancellation& cancellation;
  const ProgramSetting& setting;
  const Origin& origin;
  UniqueFd tls;
  ConnectionLog line;
  UniqueFd feed;     // what the program reads, if it has that apart
  UniqueFd written;  // what it writes, or both, if that is relayed

  [[nodiscard]] TlsSession tls_session() {
    return {.loop = loop,
            .cancellation = cancellation,
            .setting = setting.tls,
            .line = line,
            .intended = policy_of(setting.tls.options().offload, setting.no_rekey),
            .handshake_timeout = origin.rest_of(setting.tls.options().handshake_timeout)};
  }
};

// Whether the program can be given the TLS socket itself.
bool can_hand_out(const Connection& connection, bool is_guarded) {
  const bridge::Plan& plan = connection.plan();
  return plan.transmit.in_kernel() && (plan.receive.in_kernel() || is_guarded);
}

// The descriptors of a program that has the socket itself: it reads from the feed, if there is one.
Result<std::vector<std::pair<int, int>>> hand_out_descriptors(Session& session,
                                                              std::vector<UniqueFd>& theirs) {
  std::vector<std::pair<int, int>> descriptors;
  for (const int number : session.setting.write_fds) {
    descriptors.emplace_back(session.tls.get(), number);
  }
  if (!session.setting.read_fd) return descriptors;
  KTLS_TRY(bridge::Feed feed, bridge::make_feed());
  session.feed = std::move(feed.ours);
  descriptors.emplace_back(feed.theirs.get(), *session.setting.read_fd);
  theirs.push_back(std::move(feed.theirs));
  return descriptors;
}

// And of one that has a stream, whose bytes are relayed.
Result<std::vector<std::pair<int, int>>> relay_descriptors(Session& session,
                                                           std::vector<UniqueFd>& theirs) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return ktls::fail(Error::system(errno, "socketpair"));
  }
  session.written = UniqueFd(ends[0]);
  theirs.emplace_back(ends[1]);
  std::vector<std::pair<int, int>> descriptors;
  for (const int number : session.setting.write_fds) descriptors.emplace_back(ends[1], number);
  if (!session.setting.read_fd) return descriptors;
  KTLS_TRY(bridge::Feed feed, bridge::make_feed());
  session.feed = std::move(feed.ours);
  descriptors.emplace_back(feed.theirs.get(), *session.setting.read_fd);
  theirs.push_back(std::move(feed.theirs));
  return descriptors;
}

HandedOut what_is_handed_out(const Session& session, bool hands_out) {
  if (!hands_out) return HandedOut::kRelay;
  return session.setting.read_fd ? HandedOut::kGuarded : HandedOut::kDirect;
}

Result<Program> start_program(Session& session, const Connection& connection, bool hands_out) {
  std::vector<UniqueFd> theirs;
  KTLS_TRY(auto descriptors,
           hands_out ? hand_out_descriptors(session, theirs) : relay_descriptors(session, theirs));
  const SocketAddress local = session.origin.local(session.tls.get());
  return Program::start(
      {.path = session.setting.path,
       .arguments = session.setting.arguments,
       .environment = program_environment(local, session.origin.peer, connection.facts()),
       .descriptors = std::move(descriptors)});
}

Task<void> await_end(Session& session, ProgramDeparture& departure) {
  Scope scope(session.loop, kTerminationTimeout);
  auto ended = co_await departure.ended(scope);
  static_cast<void>(ended);
}

// A program whose connection has ended before it did has nobody to serve any more. `at_once`: and
// there is no time for it to notice.
Task<void> end_program(Session& session, ProgramDeparture& departure, bool at_once) {
  if (!at_once) co_await await_end(session, departure);
  for (const int number : {SIGTERM, SIGKILL}) {
    if (departure.end()) co_return;
    departure.program().signal(number);
    co_await await_end(session, departure);
  }
}

Task<void> run_program(Session& session, Connection& connection, ProgramDeparture& departure,
                       bool hands_out) {
  const milliseconds idle_timeout = session.setting.idle_timeout;
  bridge::RelayReport report;
  {
    Phase phase(session.loop, session.cancellation, idle_timeout);
    if (hands_out) {
      const bridge::HandedOut handed_out{.feed_fd = session.feed ? session.feed.get() : -1,
                                         .group = departure.program().group(),
                                         .departure = departure,
                                         .idle_timeout = idle_timeout};
      report = co_await bridge::guard(session.loop, phase.scope(), connection, handed_out);
    } else {
      const bridge::PlainSide plain{.to = session.feed ? session.feed.get() : session.written.get(),
                                    .from = session.written.get()};
      report = co_await bridge::relay(session.loop, phase.scope(), connection, plain, idle_timeout,
                                      &departure);
    }
  }
  session.line.take(connection);
  session.line.take(report);
  // Ends what a program that still runs reads.
  session.feed.reset();
  session.written.reset();
}

Task<void> serve(Session& session, Outcome& outcome, const Watch& watch) {
  const std::unique_ptr<Connection> connection =
      co_await hand_over(session.tls_session(), session.tls.get());
  if (connection == nullptr) co_return;
  const bool hands_out = can_hand_out(*connection, session.setting.read_fd.has_value());
  auto program = start_program(session, *connection, hands_out);
  if (!program) {
    session.line.end(program.error(), "error");
    co_await refuse(session.tls_session(), *connection);
    co_return;
  }
  ProgramDeparture departure(session.loop, *std::move(program));
  session.line.handed_out = what_is_handed_out(session, hands_out);
  session.line.program = departure.program().group();
  if (watch) watch(&departure.program());
  co_await run_program(session, *connection, departure, hands_out);
  if (session.line.ended == bridge::name_of(bridge::Ending::kClean)) {
    // It closed the connection, and may have more to do.
    Phase phase(session.loop, session.cancellation, std::chrono::hours(24 * 365));
    auto ended = co_await departure.ended(phase.scope());
    static_cast<void>(ended);
  }
  co_await end_program(session, departure, session.cancellation.cancelled());
  if (watch) watch(nullptr);
  outcome = departure.end();
  if (outcome) session.line.exit = outcome->exit_code();
}

}  // namespace

Task<Outcome> program_session(Loop& loop, Cancellation& cancellation, const ProgramSetting& setting,
                              UniqueFd connected, const Origin& origin, Watch watch) {
  Session session{.loop = loop,
                  .cancellation = cancellation,
                  .setting = setting,
                  .origin = origin,
                  .tls = std::move(connected),
                  .line = {},
                  .feed = {},
                  .written = {}};
  const Log& log = setting.tls.log();
  const CountedConnection counted(setting.tls.counts());
  session.line.take(origin);
  session.line.to = setting.arguments.front();
  send_at_once(session.tls.get());
  log.write(LogLevel::kDebug, "accepted", {{"peer", session.line.peer}});
  Outcome outcome;
  co_await serve(session, outcome, watch);
  counted.end(session.line);
  log.write(LogLevel::kInfo, "connection", session.line.fields());
  co_return outcome;
}

}  // namespace tools
