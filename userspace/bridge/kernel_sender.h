// KernelSender: application data moves by splice and sendfile into the kTLS socket, and never
// enters userspace; control records are sent one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/core/crypto_info.h"
#include "ktls/core/socket.h"
#include "userspace/bridge/sender.h"
#include "userspace/io/loop.h"
#include "userspace/io/pipe.h"

namespace bridge {

// What a KernelSender has to know of the direction that the kernel was given.
//   cipher       as installed
//   rekeys       the kernel takes another key
//   zerocopy     the kernel takes TLS_TX_ZEROCOPY_RO
//   record_size  content bytes of the largest record that the kernel makes there
struct KernelSendState {
  ktls::Cipher cipher;
  bool rekeys = false;
  bool zerocopy = false;
  std::size_t record_size = 0;
};

// Borrows the loop and the descriptor, on which TLS_TX is installed. Makes it non-blocking.
class KernelSender final : public Sender {
 public:
  KernelSender(Loop& loop, int fd, ktls::Syscalls& syscalls, const KernelSendState& state,
               KeyChain keys, const KeyBudget& budget);

  [[nodiscard]] Task<ktls::Result<SendStep>> move_from(Scope& scope, int plain_fd) override;
  [[nodiscard]] Task<ktls::Result<std::uint64_t>> send_file(Scope& scope, FileRange range) override;
  void change_descriptor(int fd) override {
    Sender::change_descriptor(fd);
    socket_.change_descriptor(fd);
  }
  [[nodiscard]] bool can_update_key() const override { return state_.rekeys && keys().has_next(); }
  [[nodiscard]] ktls::Reason remark() const override {
    return has_copied_ ? ktls::Reason::kPipeLimit : ktls::Reason::kNone;
  }

 private:
  [[nodiscard]] Task<ktls::Result<void>> send_all(Scope& scope, tls::ContentType type,
                                                  std::span<const std::uint8_t> content,
                                                  ktls::More more) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] ktls::Result<void> count_records() override;
  [[nodiscard]] std::uint64_t records_of(std::size_t size) const override;

  // Records that one splice of at most `size` bytes out of a pipe of `slots` buffers becomes.
  [[nodiscard]] std::uint64_t records_of_splice(std::size_t size, std::size_t slots) const;
  // Whether the budget may not last for what a pipe of the pool holds.
  [[nodiscard]] ktls::Result<bool> is_near_limit(std::size_t capacity);
  // Before application data: has the kernel copy it, unless it cannot change. What a network card
  // was given before stays with it, which is why only what is fixed for good may go there.
  // Error: kSystem where the option cannot be turned off; nothing may be sent then.
  [[nodiscard]] ktls::Result<void> prepare_for(Content content);
  // From the plain side through a pipe of so few buffers that what it holds is one record.
  [[nodiscard]] Task<ktls::Result<SendStep>> move_one_record(Scope& scope, int plain_fd);
  // Without a pipe: one buffer of plaintext, received and sent.
  [[nodiscard]] Task<ktls::Result<SendStep>> copy_from(Scope& scope, int plain_fd);
  // Moves all `size` bytes that the pipe holds.
  [[nodiscard]] Task<ktls::Result<void>> empty_pipe(Scope& scope, int pipe_end, std::size_t size,
                                                    std::size_t slots);
  // One sendfile() of as much as the budget has room for: its bytes, 0 at the end of the file.
  [[nodiscard]] Task<ktls::Result<std::size_t>> send_piece(Scope& scope, const FileRange& range);

  ktls::TlsSocket socket_;
  KernelSendState state_;
  Content option_ = Content::kMayChange;  // what TLS_TX_ZEROCOPY_RO on the socket is right for
  bool has_open_record_ = false;          // the kernel may be collecting a record
  std::size_t open_size_ = 0;             // what More::kYes left in it, of the last send
  bool was_empty_ = true;  // the plain side had nothing more: wait before the next splice
  bool has_copied_ = false;
};

}  // namespace bridge
