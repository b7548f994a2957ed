// Ends: the far sides of a bridge under test, on the bridge's own loop: one that speaks TLS by
// plain libssl and one that speaks plaintext. What they send leaves byte by byte as asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/ssl.h>

#include "ktls/base/unique_fd.h"
#include "userspace/handshake/openssl/pointers.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"
#include "userspace/suite/version.h"

namespace bridge::test {

using Bytes = std::vector<std::uint8_t>;

// Text that differs at every position, so that a loss, a repetition or a shift shows.
[[nodiscard]] std::string pattern_text(std::size_t size, std::size_t seed = 0);

// One end of a stream socket. Owns the descriptor; borrows the loop and the scope.
class StreamEnd {
 public:
  StreamEnd(Loop& loop, Scope& scope, ktls::UniqueFd fd)
      : loop_(&loop), scope_(&scope), fd_(std::move(fd)) {}
  virtual ~StreamEnd() = default;
  StreamEnd(const StreamEnd&) = delete;
  StreamEnd& operator=(const StreamEnd&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }

  // The byte at `position` of all that is ever sent begins a write of its own, which comes when
  // whoever reads `reader_fd` has had the chance to take what was written before.
  void cut_at(std::size_t position, int reader_fd);
  [[nodiscard]] std::size_t bytes_sent() const { return sent_; }

  // Past TLS: the bytes as they are. False when the socket refuses.
  [[nodiscard]] Task<bool> send_bytes(Bytes bytes);
  [[nodiscard]] virtual Task<bool> write(std::string text) = 0;

  // At least `size` bytes of text, or what there is until the stream ends.
  [[nodiscard]] Task<std::string> read(std::size_t size);
  // Everything until the stream ends: FIN, reset, or the scope.
  [[nodiscard]] Task<std::string> read_to_end();

  [[nodiscard]] bool saw_fin() const { return saw_fin_; }
  [[nodiscard]] bool was_reset() const { return was_reset_; }

  void shut_write();
  void close() { fd_.reset(); }
  void reset();

 protected:
  // Takes in what was received, into text_ or elsewhere.
  [[nodiscard]] virtual Task<bool> take(Bytes bytes) = 0;

  Loop* loop_;
  Scope* scope_;
  std::string text_;  // read and not yet answered

 private:
  [[nodiscard]] Task<bool> receive_once();
  [[nodiscard]] Task<bool> send_piece(std::span<const std::uint8_t> piece);
  [[nodiscard]] Task<void> settle() const;

  ktls::UniqueFd fd_;
  std::size_t sent_ = 0;
  std::size_t cut_ = 0;
  int reader_fd_ = -1;
  bool saw_fin_ = false;
  bool was_reset_ = false;
};

class PlainEnd final : public StreamEnd {
 public:
  using StreamEnd::StreamEnd;
  [[nodiscard]] Task<bool> write(std::string text) override;

 private:
  [[nodiscard]] Task<bool> take(Bytes bytes) override;
};

class TlsEnd final : public StreamEnd {
 public:
  // Client role: `session`, if given, is offered.
  TlsEnd(Loop& loop, Scope& scope, ktls::UniqueFd fd, SSL_CTX* context, tls::Role role,
         const std::string& name = {}, SSL_SESSION* session = nullptr);

  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }

  // False when it failed. What libssl writes at the end of it stays until flush() if `hold_last`.
  [[nodiscard]] Task<bool> shake_hands(bool hold_last = false);
  [[nodiscard]] Task<bool> write(std::string text) override;
  // Server role in TLS 1.3: takes the client's hello and sends `text` behind our Finished, before
  // that of the client is there (RFC 8446 section 4.4.4). shake_hands() goes on from here.
  [[nodiscard]] Task<bool> write_before_finished(std::string text);
  // Sends what libssl has written.
  [[nodiscard]] Task<bool> flush();
  // close_notify; the FIN is shut_write()'s.
  [[nodiscard]] Task<bool> close_notify();
  // A fatal alert, as libssl sends it when it is given a record that does not open.
  [[nodiscard]] Task<bool> object();
  // One record of `text`, damaged so that it does not open.
  [[nodiscard]] Task<bool> write_damaged(std::string_view text);
  // KeyUpdate; `type` is one of libssl's SSL_KEY_UPDATE_*.
  [[nodiscard]] Task<bool> update_key(int type);

  [[nodiscard]] bool saw_close_notify() const {
    return (SSL_get_shutdown(ssl()) & SSL_RECEIVED_SHUTDOWN) != 0 && !fatal_alert_;
  }
  // Any alert that came but close_notify, with its level.
  [[nodiscard]] std::optional<int> alert() const { return alert_; }
  [[nodiscard]] std::optional<int> alert_level() const { return alert_level_; }
  // libssl gave up: what it objects to.
  [[nodiscard]] const std::string& objection() const { return objection_; }
  [[nodiscard]] int key_updates_received() const { return key_updates_received_; }
  [[nodiscard]] Bytes take_output();
  // All that was received so far, as it was on the wire.
  [[nodiscard]] const Bytes& wire() const { return wire_; }

 private:
  [[nodiscard]] Task<bool> take(Bytes bytes) override;
  [[nodiscard]] Task<bool> feed_once();
  void feed(std::span<const std::uint8_t> bytes);
  void read_all();
  void note_message(bool written, int type, std::span<const std::uint8_t> bytes);
  static void message_callback(int written, int version, int type, const void* bytes,
                               std::size_t size, SSL* ssl, void* self);

  tls::SslPtr ssl_;
  Bytes wire_;
  std::optional<int> alert_;
  std::optional<int> alert_level_;
  bool fatal_alert_ = false;
  std::string objection_;
  int key_updates_received_ = 0;
};

}  // namespace bridge::test
