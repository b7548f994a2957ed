// The kernel transport: application data moves by splice between the kTLS socket and the plain one,
// and never enters userspace; control records are taken and sent one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/core/socket.h"
#include "userspace/bridge/transport.h"
#include "userspace/io/async_mutex.h"
#include "userspace/io/loop.h"
#include "userspace/io/pipe.h"

namespace bridge {

// Borrows the loop and the descriptor, on which TLS_RX is installed. Makes it non-blocking.
class KernelReceiver final : public Receiver {
 public:
  KernelReceiver(Loop& loop, int fd, ktls::Syscalls& syscalls);

  [[nodiscard]] Task<ktls::Result<ReceiveStep>> move_to(Scope& scope, int plain_fd) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] bool can_change_state() const override { return false; }
  [[nodiscard]] ktls::Reason remark() const override {
    return has_copied_ ? ktls::Reason::kPipeLimit : ktls::Reason::kNone;
  }

 private:
  // One record by recvmsg, where splice cannot say more: a control record, a zero that may be an
  // empty record or the end, an error, no pipe. Moved{0} when there was none after all.
  // `splice_errno` is what splice said, 0 for none: the kernel tells some errors only once, and
  // then this is what counts.
  [[nodiscard]] Task<ktls::Result<ReceiveStep>> receive_record(Scope& scope, int plain_fd,
                                                               int splice_errno);

  Loop* loop_;
  ktls::TlsSocket socket_;
  bool was_empty_ = true;  // the last splice found nothing more: wait before the next one
  bool has_copied_ = false;
};

// Borrows the loop and the descriptor, on which TLS_TX is installed. Makes it non-blocking.
class KernelSender final : public Sender {
 public:
  KernelSender(Loop& loop, int fd, ktls::Syscalls& syscalls);

  [[nodiscard]] Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) override;
  [[nodiscard]] Task<ktls::Result<void>> send_record(
      Scope& scope, tls::ContentType type, std::span<const std::uint8_t> content) override;
  [[nodiscard]] Task<ktls::Result<void>> change_state(Scope& scope,
                                                      std::span<const std::uint8_t> last,
                                                      tls::ConnectionState state) override;
  [[nodiscard]] bool busy() const override { return writing_.locked(); }
  [[nodiscard]] bool can_change_state() const override { return false; }
  [[nodiscard]] ktls::Reason remark() const override {
    return has_copied_ ? ktls::Reason::kPipeLimit : ktls::Reason::kNone;
  }

 private:
  // Without a pipe: one buffer of plaintext, received and sent.
  [[nodiscard]] Task<ktls::Result<SendStep>> copy_from(Scope& scope, int plain_fd);
  // Sends all of `content`, waiting for room; the caller holds writing_.
  [[nodiscard]] Task<ktls::Result<void>> send_all(Scope& scope, tls::ContentType type,
                                                  std::span<const std::uint8_t> content);

  Loop* loop_;
  ktls::TlsSocket socket_;
  AsyncMutex writing_;  // a control record waits until the pipe's content is through
  bool was_empty_ = true;
  bool has_copied_ = false;
};

}  // namespace bridge
