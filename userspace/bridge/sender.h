// Sender: the direction to the peer, whichever way its records are sealed, and when its key is
// changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "ktls/core/reason.h"
#include "ktls/core/socket.h"
#include "userspace/bridge/connection_observer.h"
#include "userspace/bridge/fixed_content.h"
#include "userspace/bridge/key_budget.h"
#include "userspace/bridge/key_chain.h"
#include "userspace/bridge/transport.h"
#include "userspace/io/async_mutex.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/suite/content_type.h"

namespace bridge {

// Part of a regular file. Whoever calls it kFixed without fixed_by() answers for it: what changes
// while it is on its way may reach the peer as a record that does not open, or go out twice, as two
// texts under one nonce.
struct FileRange {
  int fd;
  std::uint64_t offset;
  std::uint64_t size;
  Content content = Content::kMayChange;
};

// RFC 8446 section 4.6.3, KeyUpdateRequest: whether the peer is to change its key, too.
enum class KeyUpdateRequest : std::uint8_t { kNotRequested = 0, kRequested = 1 };

// What the key changes of a direction came to.
struct KeyUpdateCounts {
  std::uint64_t updates = 0;
  // Those before which sending had to wait, as the budget was spent before KeyPolicy allowed them.
  std::uint64_t waits = 0;
};

// Somebody else who writes to the socket, and has to stand still while its key is changed.
class OutsideWriters {
 public:
  virtual ~OutsideWriters() = default;
  // Returns when nobody writes. Errors: kRekeyImpossible where somebody cannot be kept from it,
  // those of the scope, kSystem.
  [[nodiscard]] virtual Task<ktls::Result<void>> hold(Scope& scope) = 0;
  virtual void release() = 0;
};

// Several tasks may call it; whole records never mix, and no record is sealed beyond the budget:
// before that the key is changed, in the middle of a file or splice if need be. Where it cannot be
// changed that is kKeyBudgetSpent, and one record is left, for an alert.
class Sender {
 public:
  virtual ~Sender() = default;
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Waits for plaintext on `plain_fd` and sends it as application data. What is reported as Moved
  // has been given to the transport completely.
  [[nodiscard]] virtual Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) = 0;
  // Bytes that it has read there so far, sent or not.
  [[nodiscard]] std::uint64_t bytes_taken() const { return bytes_taken_; }

  // Sends a part of a file as application data. Answers the bytes sent, which are fewer than asked
  // for where the file ended before. Errors: kSystem of the file and of the socket, and the rest as
  // send_record().
  [[nodiscard]] virtual Task<ktls::Result<std::uint64_t>> send_file(Scope& scope,
                                                                    FileRange range) = 0;

  // Sends application data. With kYes it may be kept until more comes, or until any other record
  // is sent; nothing else sends it.
  [[nodiscard]] Task<ktls::Result<void>> send_data(Scope& scope,
                                                   std::span<const std::uint8_t> content,
                                                   ktls::More more = ktls::More::kNo);

  // Sends one record of another type: an alert, a handshake message; `content` is not empty.
  // Errors: kSystem of the socket, kTimeout and kCancelled of the scope, those of seal();
  // kProtocolViolation after a record that went out in part, and after end().
  [[nodiscard]] Task<ktls::Result<void>> send_record(Scope& scope, tls::ContentType type,
                                                     std::span<const std::uint8_t> content);

  // From now on others send application data on the socket, too: before each change of the key
  // they are held. `writers` is borrowed.
  void share_with(OutsideWriters& writers) { writers_ = &writers; }
  void stop_sharing() { writers_ = nullptr; }

  // Records that the present key may still seal, whoever sealed those before. Error: kSystem.
  [[nodiscard]] ktls::Result<std::uint64_t> count_records_left();
  // When KeyPolicy allows the budget another KeyUpdate.
  [[nodiscard]] Clock::time_point next_update() const { return budget_.next_update(); }
  // For the budget of a shared socket: update_key() as soon as next_update() allows it, while
  // whoever shares the socket is held. Errors: those of update_key().
  [[nodiscard]] Task<ktls::Result<void>> replace_key(Scope& scope);
  // The peer asked for a KeyUpdate that has not been sent.
  [[nodiscard]] bool owes_update() const { return update_is_owed_; }
  // Sends it on a shared socket, whose writers would take all room as soon as there is some: they
  // are held while it is waited for. That may not last, as the peer may be waiting for what they
  // would read: it can return with the KeyUpdate still owed. Errors: those of update_key().
  [[nodiscard]] Task<ktls::Result<void>> send_owed_update(Scope& scope);

  // Nothing may follow what was sent: the write side is being shut down. The kernel would go on
  // counting bytes as sent that it drops.
  void end() { has_ended_ = true; }

  // Sends KeyUpdate and seals with the next key from there on, as one step: nothing comes between.
  // Whoever asks for the peer's must be able to follow it: Connection::exchange_keys(). Errors:
  // kUnsupported where the key cannot be changed; otherwise as send_record(), and the direction is
  // dead then.
  [[nodiscard]] Task<ktls::Result<void>> update_key(
      Scope& scope, KeyUpdateRequest request = KeyUpdateRequest::kNotRequested);

  // The peer asked for a KeyUpdate. It is sent at once if it can be without waiting, or before the
  // next application data (RFC 8446 section 4.6.3 asks for no more): whoever receives must not wait
  // for a peer that does not read, which may be waiting for us to. Errors: those of update_key().
  [[nodiscard]] Task<ktls::Result<void>> answer_update_request(Scope& scope);

  [[nodiscard]] virtual bool can_update_key() const = 0;

  [[nodiscard]] int fd() const { return fd_; }
  // The same socket by another descriptor: this one may be closed then. Nobody is sending.
  virtual void change_descriptor(int fd) { fd_ = fd; }

  // Tells `observer`, which is borrowed, of KeyUpdates from now on.
  void observe(ConnectionObserver& observer) { observer_ = &observer; }

  // Whether another task is sending just now.
  [[nodiscard]] bool busy() const { return writing_.locked(); }

  [[nodiscard]] const KeyUpdateCounts& key_updates() const { return counts_; }

  // Something worth telling about how the direction ran: kPipeLimit when it had to copy.
  [[nodiscard]] virtual ktls::Reason remark() const { return ktls::Reason::kNone; }

 protected:
  Sender(Loop& loop, int fd, KeyChain keys, const KeyBudget& budget)
      : loop_(&loop), fd_(fd), keys_(std::move(keys)), budget_(budget) {}

  // Everything below wants the turn that begin() gives.

  // Waits for the turn to send. Error: kProtocolViolation where nothing may be sent any more.
  [[nodiscard]] Task<ktls::Result<AsyncMutex::Guard>> begin(Scope& scope);

  // Before `records` of application data: changes the key if the peer asked for it, or if the
  // budget is short of so many.
  [[nodiscard]] Task<ktls::Result<void>> make_room(Scope& scope, std::uint64_t records);

  // Sends all of `content`, application data in pieces that the budget has room for. An error
  // leaves it unknown how much went out.
  [[nodiscard]] virtual Task<ktls::Result<void>> send_all(Scope& scope, tls::ContentType type,
                                                          std::span<const std::uint8_t> content,
                                                          ktls::More more) = 0;
  // Seals with `state` from now on.
  [[nodiscard]] virtual ktls::Result<void> change_state(tls::ConnectionState state) = 0;
  // Has the budget learn how many records were sealed with the present key.
  [[nodiscard]] virtual ktls::Result<void> count_records() = 0;

  // Records that `size` bytes of content become.
  [[nodiscard]] virtual std::uint64_t records_of(std::size_t size) const = 0;

  // For move_from(), as soon as it has read so many bytes.
  void take_note_of(std::size_t size) { bytes_taken_ += size; }

  // A record went out in part, or a key was announced and not changed: nothing can follow.
  void mark_broken() { is_broken_ = true; }
  [[nodiscard]] bool is_broken() const { return is_broken_; }

  [[nodiscard]] Loop& loop() const { return *loop_; }
  [[nodiscard]] KeyBudget& budget() { return budget_; }
  [[nodiscard]] const KeyChain& keys() const { return keys_; }

 private:
  [[nodiscard]] Task<ktls::Result<void>> change_key(
      Scope& scope, KeyUpdateRequest request = KeyUpdateRequest::kNotRequested);
  [[nodiscard]] Task<ktls::Result<void>> change_key_alone(Scope& scope, KeyUpdateRequest request);
  [[nodiscard]] Task<ktls::Result<void>> await_interval(Scope& scope);

  Loop* loop_;
  int fd_;
  KeyChain keys_;
  KeyBudget budget_;
  AsyncMutex writing_;  // records leave in the order of their sequence numbers
  OutsideWriters* writers_ = nullptr;
  ConnectionObserver* observer_ = nullptr;
  KeyUpdateCounts counts_;
  std::uint64_t bytes_taken_ = 0;
  bool update_is_owed_ = false;  // the peer asked for a KeyUpdate
  bool has_ended_ = false;
  bool is_broken_ = false;
};

}  // namespace bridge
