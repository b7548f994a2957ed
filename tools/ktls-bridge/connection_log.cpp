// The fields of the line, in the order in which they are read.

#include "tools/ktls-bridge/connection_log.h"

#include "ktls/core/reason.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace tools {
namespace {

// The log's names for one direction.
struct DirectionKeys {
  std::string_view placement;
  std::string_view reason;
  std::string_view remark;
};
constexpr DirectionKeys kTransmitKeys = {"tx", "tx_reason", "tx_remark"};
constexpr DirectionKeys kReceiveKeys = {"rx", "rx_reason", "rx_remark"};

void add_direction(LogFields& fields, const DirectionKeys& keys,
                   const bridge::DirectionPlan& direction, ktls::Reason remark) {
  fields.emplace_back(keys.placement, std::string(ktls::name_of(direction.placement)));
  if (!direction.in_kernel()) {
    fields.emplace_back(keys.reason, std::string(ktls::text_of(direction.reason).code));
  }
  if (remark != ktls::Reason::kNone) {
    fields.emplace_back(keys.remark, std::string(ktls::text_of(remark).code));
  }
}

constexpr std::string_view name_of(HandedOut handed_out) {
  switch (handed_out) {
    case HandedOut::kNothing:
      return "nothing";
    case HandedOut::kGuarded:
      return "guarded";
    case HandedOut::kDirect:
      return "direct";
    case HandedOut::kRelay:
      return "relay";
  }
  return "?";
}

// A subject is as long as its authority likes, and a line is to be read.
std::string shortened(const std::string& subject) {
  constexpr std::size_t kSubjectMax = 1024;
  constexpr unsigned char kContinuation = 0x80;  // of UTF-8, in its two highest bits
  if (subject.size() <= kSubjectMax) return subject;
  std::size_t size = kSubjectMax;
  while (size > 0 && (static_cast<unsigned char>(subject[size]) & 0xc0U) == kContinuation) --size;
  return subject.substr(0, size) + "...";
}

// Connections that change no key, nearly all of them, say nothing of it.
void add_count(LogFields& fields, std::string_view key, std::uint64_t count) {
  if (count != 0) fields.emplace_back(key, count);
}

}  // namespace

void ConnectionLog::take(const Origin& origin) {
  peer = origin.peer.text();
  if (origin.via) via = origin.via->text();
  started = origin.accepted;
}

void ConnectionLog::take(bridge::Connection& connection) {
  transmit_remark = connection.sender().remark();
  receive_remark = connection.receiver().remark();
  key_updates_sent = connection.sender().key_updates().updates;
  key_update_waits = connection.sender().key_updates().waits;
  key_updates_received = connection.key_updates_received();
}

void ConnectionLog::take(const bridge::RelayReport& report) {
  received = report.received;
  sent = report.sent;
  ended = bridge::name_of(report.ending);
  detail = report.detail;
  if (report.reason != ktls::Reason::kNone) reason = ktls::text_of(report.reason).code;
}

void ConnectionLog::end(const ktls::Error& error, std::string_view otherwise) {
  // An alert of ours, and an end of the stream, are how a phase fails; the rest is why.
  const bridge::Ending ending = bridge::ending_of(error);
  const bool is_ours =
      ending == bridge::Ending::kAlert && error.code != ktls::ErrorCode::kPeerAlert;
  const bool is_end = ending == bridge::Ending::kTruncated;
  const bool says_more = ending != bridge::Ending::kError && !is_ours && !is_end;
  ended = says_more ? bridge::name_of(ending) : otherwise;
  detail = error.message();
  failure = error.code;
}

LogFields ConnectionLog::fields() const {
  LogFields fields;
  fields.emplace_back("peer", peer);
  if (!via.empty()) fields.emplace_back("via", via);
  if (!to.empty()) fields.emplace_back("to", to);
  if (facts) {
    fields.emplace_back("name", facts->peer_name.empty() ? "-" : facts->peer_name);
    if (!facts->psk_identity.empty()) fields.emplace_back("psk", facts->psk_identity);
    if (facts->peer_certificate) {
      fields.emplace_back("client", shortened(facts->peer_certificate->subject));
    }
    fields.emplace_back("version", std::string(tls::name_of(facts->version)));
    fields.emplace_back("suite", std::string(facts->suite->name));
    if (!facts->alpn.empty()) fields.emplace_back("alpn", facts->alpn);
    fields.emplace_back("resumed", facts->resumed);
  }
  if (placement) {
    add_direction(fields, kTransmitKeys, placement->transmit, transmit_remark);
    add_direction(fields, kReceiveKeys, placement->receive, receive_remark);
  }
  add_count(fields, "tx_key_updates", key_updates_sent);
  add_count(fields, "tx_key_waits", key_update_waits);
  add_count(fields, "rx_key_updates", key_updates_received);
  if (requests) fields.emplace_back("requests", *requests);
  if (program) {
    fields.emplace_back("program", *program);
    fields.emplace_back("handed_out", std::string(name_of(handed_out)));
  }
  if (exit) fields.emplace_back("exit", std::int64_t{*exit});
  // What goes through the socket without us is not counted.
  if (handed_out != HandedOut::kDirect) fields.emplace_back("received", received);
  const bool writes_itself = handed_out == HandedOut::kGuarded || handed_out == HandedOut::kDirect;
  if (!writes_itself) fields.emplace_back("sent", sent);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  fields.emplace_back("duration", seconds.count());
  fields.emplace_back("ended", ended);
  if (!reason.empty()) fields.emplace_back("reason", reason);
  if (!detail.empty()) fields.emplace_back("detail", detail);
  return fields;
}

}  // namespace tools
