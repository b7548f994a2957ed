// Secrets without sockets: a descriptor comes with each question, and goes with its answer.

#include "tools/broker/handed_out_sockets.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ktls/core/reason.h"
#include "ktls/core/socket.h"
#include "tools/broker/datagram.h"
#include "tools/broker/relays.h"
#include "tools/common/address.h"
#include "userspace/bridge/closing.h"
#include "userspace/bridge/relay.h"
#include "userspace/bridge/standing_holders.h"
#include "userspace/broker/holders.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/content_type.h"
#include "userspace/suite/refuse.h"

namespace tools {

using bridge::Connection;
using bridge::Scope;
using bridge::Task;
using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;
using std::chrono::milliseconds;

namespace {

// Between two looks at all of them: in that time a key seals a few million records at most, of the
// twenty-four million that AES-GCM allows (RFC 8446 section 5.5).
constexpr milliseconds kWatchPause = std::chrono::seconds(1);
// Looks in a row, each of which is a few system calls; then others have their turn.
constexpr std::size_t kLooksInARow = 64;
// How long the client role keeps what it needs to take tickets.
constexpr milliseconds kTicketTimeout = std::chrono::seconds(10);
// For the change of a key whose announcement has no room, as the peer does not read.
constexpr milliseconds kChangeTimeout = std::chrono::seconds(60);
// For what is unread in a socket whose both sides have ended. Most programs have let go of one
// within seconds; of one that hides what it has nobody knows.
constexpr milliseconds kUnreadTimeout = std::chrono::minutes(10);
// RFC 8446 section 5.2 and RFC 5246 section 6.2: no record is shorter than its header and its tag.
constexpr std::uint64_t kRecordSizeMin = 5 + 16;

std::string_view code_of(const Error& error) {
  return ktls::text_of(bridge::reason_of_end(error)).code;
}

bool has_room(int fd) {
  pollfd poll{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLOUT) != 0;
}

// A connection that has a descriptor of its socket for a while, and whose other holders can be made
// to stand still.
class Borrowed {
 public:
  Borrowed(bridge::Loop& loop, Connection& connection, int fd, uid_t user)
      : connection_(connection), holders_(loop, fd, user) {
    connection_.change_descriptor(fd);
    connection_.sender().share_with(holders_);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    connection_.sender().stop_sharing();
    connection_.change_descriptor(-1);
  }

 private:
  Connection& connection_;
  bridge::StandingHolders holders_;
};

// The peer hears of it, and nobody can go on with the socket, whoever else has it.
// Where there is no room for the alert somebody else may be waiting for some, in the kernel and
// with its lock (net/tls/tls_sw.c, tls_sw_sendmsg), and sending would wait for that, too.
Task<void> abort(bridge::Loop& loop, Connection& connection, const Error& error) {
  if (has_room(connection.fd())) {
    co_await bridge::abort_peer(loop, connection, error, false);
  } else {
    bridge::reset_on_close(connection.fd());
  }
  ::shutdown(connection.fd(), SHUT_RDWR);
}

}  // namespace

Result<void> HandedOutSockets::add(std::unique_ptr<Connection> connection, const Client& client,
                                   const std::string& peer) {
  KTLS_TRY(const ktls::SocketIdentity identity, ktls::identity_of(connection->fd()));
  struct stat status {};
  if (::fstat(connection->fd(), &status) != 0) return ktls::fail(Error::system(errno, "fstat"));
  auto place = places_.take(client.user);
  if (!place) {
    return ktls::fail(
        Error::of(ErrorCode::kLimitReached, "the user has as many connections as are kept"));
  }
  const std::uint64_t limit = connection->key_limit();
  entries_[identity.cookie] = std::shared_ptr<Entry>(new Entry{.connection = std::move(connection),
                                                               .place = *std::move(place),
                                                               .user = client.user,
                                                               .peer = peer,
                                                               .identity = identity,
                                                               .inode = status.st_ino,
                                                               .since = loop_.now(),
                                                               .records_left = limit});
  return {};
}

Task<broker::Answer> HandedOutSockets::act_on(Scope& scope, int fd, bridge::ControlRecord record) {
  const auto cookie = cookie_of(fd);
  if (!cookie) co_return refusal(EBADF, cookie.error().message());
  const auto found = entries_.find(*cookie);
  if (found == entries_.end()) co_return co_await end_unknown(fd);
  const std::shared_ptr<Entry> entry = found->second;
  auto turn = co_await entry->turn.lock(scope);
  if (!turn) co_return refusal(EAGAIN, turn.error().message());
  if (!entries_.contains(*cookie)) {
    co_return refusal(ECONNRESET, "the connection has been ended");
  }
  auto followed = co_await follow(scope, *entry, fd, record);
  if (followed) co_return answer_of(broker::Kind::kDone);
  const broker::Answer answer =
      refusal(ECONNRESET, followed.error().message(), code_of(followed.error()));
  co_await end(*entry, fd, followed.error());
  co_return answer;
}

Task<Result<void>> HandedOutSockets::follow(Scope& scope, Entry& entry, int fd,
                                            const bridge::ControlRecord& record) {
  Connection& connection = *entry.connection;
  const Borrowed borrowed(loop_, connection, fd, entry.user);
  const std::uint64_t updates_before = connection.sender().key_updates().updates;
  auto acted = co_await connection.act_on(scope, record);
  if (!acted) co_return ktls::fail(std::move(acted).error());
  connection.data_received();  // whatever comes between two control records is not seen here
  if (connection.sender().key_updates().updates != updates_before) {
    entry.records_left = connection.key_limit();
  }
  log_.write(LogLevel::kDebug, "control",
             {{"peer", entry.peer},
              {"rx_key_updates", connection.key_updates_received()},
              {"tx_key_updates", connection.sender().key_updates().updates}});
  co_return Result<void>();
}

Task<void> HandedOutSockets::settle(ForeignFd fd) {
  const auto cookie = cookie_of(fd.get());
  const auto found = cookie ? entries_.find(*cookie) : entries_.end();
  if (found == entries_.end()) co_return;
  const std::shared_ptr<Entry> entry = found->second;
  Connection& connection = *entry->connection;
  Scope in_time(loop_, kChangeTimeout);
  while (connection.sender().owes_update() && entries_.contains(*cookie)) {
    // Without its turn, which other control records have meanwhile.
    auto done = co_await loop_.writable(in_time, fd.get());
    const auto turn = co_await entry->turn.lock(in_time);
    const bool is_over = !turn || !entries_.contains(*cookie);
    if (is_over) co_return;
    if (done) {
      const Borrowed borrowed(loop_, connection, fd.get(), entry->user);
      done = co_await connection.sender().send_owed_update(in_time);
    }
    if (!done) {
      co_await end(*entry, fd.get(), done.error());
      co_return;
    }
    entry->records_left = connection.key_limit();
  }
}

Task<void> HandedOutSockets::end(Entry& entry, int fd, const Error& error) {
  entry.connection->change_descriptor(fd);
  LogFields fields = {{"peer", entry.peer}};
  if (const auto reason = code_of(error); !reason.empty()) {
    fields.emplace_back("reason", std::string(reason));
  }
  fields.emplace_back("detail", error.message());
  log_.write(LogLevel::kWarning, "ended", fields);
  entries_.erase(entry.identity.cookie);
  co_await abort(loop_, *entry.connection, error);
}

// The alert can be sent without any secret, as the kernel has the key; no key can be changed.
Task<broker::Answer> HandedOutSockets::end_unknown(int fd) {
  const ktls::ReasonText& text = ktls::text_of(ktls::Reason::kSecretsLost);
  ktls::TlsSocket socket(fd);
  const auto has_keys = socket.has_keys(ktls::Direction::kTransmit);
  if (!has_keys || !*has_keys) co_return refusal(EINVAL, "no socket on which the kernel does TLS");
  const std::array<std::uint8_t, 2> alert = {static_cast<std::uint8_t>(tls::AlertLevel::kFatal),
                                             tls::code_of(tls::AlertDescription::kInternalError)};
  const bool is_told =
      has_room(fd) &&
      socket.send(static_cast<std::uint8_t>(tls::ContentType::kAlert), alert).has_value();
  if (!is_told) bridge::reset_on_close(fd);
  ::shutdown(fd, SHUT_RDWR);
  log_.write(LogLevel::kWarning, "ended",
             {{"peer", peer_text(fd)}, {"reason", std::string(text.code)}});
  co_return refusal(ECONNRESET, text.sentence, text.code);
}

Task<Result<void>> HandedOutSockets::keep_to_limit(Scope& scope, Entry& entry,
                                                   std::uint32_t inode) {
  Connection& connection = *entry.connection;
  const UniqueFd fd = broker::borrow_socket(inode);
  if (!fd) {
    if (!std::exchange(entry.was_missed, true)) {
      log_.write(LogLevel::kWarning, "unseen",
                 {{"peer", entry.peer},
                  {"detail", std::string("whoever has the socket cannot be looked at: its key is "
                                         "not changed before its limit")}});
    }
    co_return Result<void>();
  }
  const Borrowed borrowed(loop_, connection, fd.get(), entry.user);
  const auto left = connection.sender().count_records_left();
  if (!left) co_return ktls::fail(left.error());
  entry.records_left = *left;
  const std::uint64_t limit = connection.key_limit();
  if (connection.sender().can_update_key()) {
    // A peer that does not read keeps others from sealing more; its turn comes.
    if (*left > limit / 2 || !has_room(fd.get())) co_return Result<void>();
    auto changed = co_await connection.sender().replace_key(scope);
    if (changed) entry.records_left = limit;
    co_return changed;
  }
  if (*left > limit / 8) co_return Result<void>();
  auto spent = tls::refuse(ErrorCode::kKeyBudgetSpent, tls::AlertDescription::kInternalError,
                           "the key has sealed as many records as it may, and cannot be changed");
  co_await end(entry, fd.get(), spent.value());
  co_return Result<void>();
}

bool HandedOutSockets::look_after(Scope& scope, const std::shared_ptr<Entry>& entry) {
  if (loop_.now() - entry->since > kTicketTimeout) entry->connection->release_handshake();
  const auto seen = ktls::find_held_socket(entry->identity, true);
  if (!seen) return true;  // sock_diag says nothing: another time
  if (!*seen) {
    loop_.spawn(forget_unless_held(entry));
    return true;
  }
  if ((*seen)->inode == 0) return false;
  if (entry->connection->key_limit() == tls::kNoRecordLimit || entry->turn.locked()) return true;
  // So many records there cannot be more than since the last count.
  const std::uint64_t sent = (*seen)->bytes_sent;
  const std::uint64_t records_max = (sent - std::min(sent, entry->counted_at)) / kRecordSizeMin;
  if (records_max >= entry->records_left / 2) loop_.spawn(look_closer(scope, entry, **seen));
  return true;
}

Task<void> HandedOutSockets::forget_unless_held(std::shared_ptr<Entry> entry) {
  const auto now = loop_.now();
  if (now < entry->next_look) co_return;
  if (!entry->over_since) entry->over_since = now;
  // The longer a program has it, the longer it is likely to: looking costs a walk through /proc.
  const auto age = now - *entry->over_since;
  entry->next_look = now + kWatchPause + age;
  const Held held = co_await held_.find(entry->inode, Flight::kIgnored);
  const bool is_kept = (held.by_somebody && age < kUnreadTimeout) || entry->turn.locked();
  if (!is_kept) entries_.erase(entry->identity.cookie);
}

Task<void> HandedOutSockets::look_closer(Scope& scope, std::shared_ptr<Entry> entry,
                                         ktls::HeldSocket seen) {
  Scope in_time(scope, kChangeTimeout);
  const auto turn = co_await entry->turn.lock(in_time);
  const bool is_over = !turn || !entries_.contains(entry->identity.cookie);
  if (is_over) co_return;
  entry->counted_at = seen.bytes_sent;
  const auto kept = co_await keep_to_limit(in_time, *entry, seen.inode);
  if (kept) co_return;
  const UniqueFd fd = broker::borrow_socket(seen.inode);
  if (fd.valid()) co_await end(*entry, fd.get(), kept.error());
}

Task<void> HandedOutSockets::watch(Scope& scope) {
  for (;;) {
    std::vector<std::uint64_t> cookies;
    for (const auto& [cookie, entry] : entries_) cookies.push_back(cookie);
    std::size_t looks = 0;
    for (const std::uint64_t cookie : cookies) {
      const auto found = entries_.find(cookie);
      if (found == entries_.end()) continue;
      if (!look_after(scope, found->second)) entries_.erase(cookie);
      if (++looks % kLooksInARow == 0) co_await loop_.yield();
    }
    auto slept = co_await loop_.sleep(scope, kWatchPause);
    if (!slept) co_return;
  }
}

}  // namespace tools
