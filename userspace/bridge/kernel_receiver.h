// KernelReceiver: application data moves by splice from the kTLS socket to the plain one, and never
// enters userspace; control records are taken one at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ktls/core/socket.h"
#include "userspace/bridge/no_padding_option.h"
#include "userspace/bridge/transport.h"
#include "userspace/io/loop.h"

namespace bridge {

// What the kernel does with a KeyUpdate, or what looks like one.
//   kNothing  hands it out like any record: before Linux 6.14
//   kWaits    reads no more, and takes no other key either: later ones in TLS 1.2
//   kRekeys   reads no more until it has another key: later ones in TLS 1.3
enum class KeyUpdates : std::uint8_t { kNothing, kWaits, kRekeys };

// What a KernelReceiver has to know of the direction that the kernel was given.
//   cipher             as installed
//   expect_no_padding  TLS 1.3 in a kernel where TLS_RX_EXPECT_NO_PAD is safe
//   decrypts_into_buffers  TLS 1.2; in 1.3 the kernel does that only while it expects no padding
//   key_wait_max       after which a kernel that says nothing is asked whether it waits for a key
struct KernelReceiveState {
  ktls::Cipher cipher;
  KeyUpdates key_updates = KeyUpdates::kNothing;
  bool expect_no_padding = false;
  bool decrypts_into_buffers = true;
  std::chrono::milliseconds key_wait_max{5'000};
};

// Borrows the loop and the descriptor, on which TLS_RX is installed. Makes it non-blocking.
class KernelReceiver final : public Receiver {
 public:
  KernelReceiver(Loop& loop, int fd, ktls::Syscalls& syscalls, const KernelReceiveState& state);

  [[nodiscard]] Task<ktls::Result<ReceiveStep>> move_to(Scope& scope, int plain_fd) override;
  [[nodiscard]] Task<ktls::Result<ReceivedStep>> receive(Scope& scope) override;
  [[nodiscard]] ktls::Result<void> change_state(tls::ConnectionState state) override;
  [[nodiscard]] bool can_change_state() const override {
    return state_.key_updates == KeyUpdates::kRekeys;
  }
  [[nodiscard]] bool awaits_state(const ControlRecord& record) const override;
  [[nodiscard]] ktls::Result<std::uint64_t> sequence() override;
  void change_descriptor(int fd) override {
    socket_.change_descriptor(fd);
    no_padding_.change_descriptor(fd);
  }
  [[nodiscard]] ktls::Reason remark() const override {
    return has_copied_ ? ktls::Reason::kPipeLimit : ktls::Reason::kNone;
  }

 private:
  // Whether the kernel may be waiting for a key, and say nothing.
  [[nodiscard]] bool may_stall() const { return state_.key_updates != KeyUpdates::kNothing; }
  // Until the socket says that there is something to receive. False: it says nothing, and where the
  // kernel may stall it is time to try all the same (KernelReceiveState::key_wait_max).
  [[nodiscard]] Task<ktls::Result<bool>> wait(Scope& scope);
  [[nodiscard]] Task<ktls::Result<ReceiveStep>> move_step(Scope& scope, int plain_fd);
  [[nodiscard]] Task<ktls::Result<ReceivedStep>> receive_step(Scope& scope);
  // What recvmsg brings without waiting; an empty Buffer when that is nothing, after all.
  // `splice_errno` is what splice said before, 0 for none: the kernel tells some errors only once,
  // and then this is what counts.
  [[nodiscard]] Task<ktls::Result<ReceivedStep>> receive_now(Scope& scope, int splice_errno = 0);
  // The same where splice cannot say more: a control record, a zero that may be an empty record or
  // the end, an error, no pipe. Moved{0} when there was nothing.
  [[nodiscard]] Task<ktls::Result<ReceiveStep>> copy_to(Scope& scope, int plain_fd,
                                                        int splice_errno);
  [[nodiscard]] std::size_t written_by(const ktls::Result<ktls::ReceivedBytes>& received,
                                       std::size_t room) const;

  Loop* loop_;
  ktls::TlsSocket socket_;
  KernelReceiveState state_;
  NoPaddingOption no_padding_;
  std::optional<ktls::Error> error_;  // the kernel tells it once: the first is final
  bool was_empty_ = true;  // the last attempt found nothing more: wait before the next one
  bool has_copied_ = false;
  bool plain_failed_ = false;  // the step's error is the plain side's, and receiving can go on
};

}  // namespace bridge
