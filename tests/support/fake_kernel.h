// FakeKernel: a Syscalls that models the kernel's TLS sockets in memory, with its errnos, so that
// what is built on ktls/core is tested on any machine and at every failure.
//
// It never blocks: what would wait answers EAGAIN. It knows the operations that ktls/core makes;
// flags and options beyond them answer EOPNOTSUPP and ENOPROTOOPT. The same typed tests run
// against it and against real kernels (tests/support/kernel_contract_test.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "ktls/core/crypto_info.h"
#include "ktls/core/syscalls.h"
#include "tests/support/fake_kernel_record.h"

namespace ktls {

// What the modelled kernel has. The default is a current kernel of Debian.
struct FakeTraits {
  bool tls_module = true;                                 // TCP_ULP knows "tls"
  bool rekey = true;                                      // Linux 6.14 and later
  std::set<std::uint16_t> missing_aeads{55, 56, 57, 58};  // SM4 and ARIA are not built
  // Bytes under way to one socket before its peer's send answers EAGAIN; a record is taken whole.
  std::size_t wire_capacity = 262144;

  [[nodiscard]] static FakeTraits without_tls();
  [[nodiscard]] static FakeTraits without_rekey();  // 6.1, 6.12
  [[nodiscard]] static FakeTraits with_every_cipher();
};

// Calls by what they are for. kAny counts all of them.
enum class FakeCall : std::uint8_t {
  kAny,
  kPair,
  kAttach,
  kReadUlp,
  kInstallReceive,
  kInstallTransmit,
  kReadKeys,
  kTakeError,
  kOtherOption,
  kSend,
  kReceive,
  kClose,
};

class FakeKernel final : public Syscalls {
 public:
  explicit FakeKernel(FakeTraits traits = {}) : traits_(std::move(traits)) {}

  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override;
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override;
  ssize_t sendmsg(int fd, const msghdr* message, int flags) override;
  ssize_t recvmsg(int fd, msghdr* message, int flags) override;
  int tcp_pair(int fds[2]) override;
  int close(int fd) override;

  // Makes the nth call of this kind from now (1 is the next one) fail with `sys_errno`. A close
  // that fails has closed nevertheless, as on Linux.
  void fail(FakeCall call, std::size_t nth, int sys_errno);
  // Makes every call of this kind fail, as a seccomp profile would; 0 ends it.
  void fail_always(FakeCall call, int sys_errno);
  // Calls of this kind so far, failed ones included.
  [[nodiscard]] std::size_t calls(FakeCall call) const;

  // Sockets that tcp_pair() does not make. The caller closes them by close().
  [[nodiscard]] int tcp_socket();
  [[nodiscard]] int listening_socket();
  [[nodiscard]] int udp_socket();
  // Attaches a protocol other than tls, such as "smc".
  void attach_other_ulp(int fd, std::string name);
  void shutdown_write(int fd);

  // Bytes that reach `fd` as though its peer's TCP had sent them.
  void inject(int fd, std::span<const std::uint8_t> bytes);
  // A record that reaches `fd`, sealed under its receive keys: for a socket whose peer is the
  // test alone. TLS_RX must be installed.
  void queue_record(int fd, std::uint8_t type, std::span<const std::uint8_t> payload);
  // Every record sent on `fd` since TLS_TX was first installed, as plaintext.
  [[nodiscard]] const std::vector<FakeRecord>& sent_records(int fd) const;

  [[nodiscard]] std::size_t open_descriptors() const { return sockets_.size(); }

 private:
  using Bytes = std::vector<std::uint8_t>;

  enum class State : std::uint8_t { kClosed, kListening, kEstablished, kCloseWait };

  struct Socket {
    State state = State::kClosed;
    bool is_tcp = true;
    bool write_is_shut = false;
    int pending_error = 0;        // sk_err: refuses to send until SO_ERROR takes it
    bool parser_stopped = false;  // after a header that is no record's
    bool rekey_pending = false;   // after a KeyUpdate, until TLS_RX
    int peer = -1;
    std::string ulp;
    std::optional<FakeKeys> tx;
    std::optional<FakeKeys> rx;
    std::optional<FakeKeys> queue_keys;  // rx as queue_record() moves it on
    Bytes wire;                          // arrived from the peer and not yet read
    std::optional<FakeRecord> opened;    // decrypted and not yet read to its end
    Bytes open_record;                   // collected under MSG_MORE
    std::vector<FakeRecord> sent;
  };

  // The errno to inject into this call, 0 if none; counts the call.
  int injected(FakeCall call);
  Socket* find(int fd);
  int add(State state, int peer = -1);

  int attach(Socket& socket, const void* value, socklen_t size);
  int install(Socket& socket, Direction direction, const void* value, socklen_t size);
  int check_install(const Socket& socket, Direction direction,
                    std::span<const std::uint8_t> structure, const FakeCipher*& cipher) const;
  static int read_ulp(const Socket& socket, void* value, socklen_t* size);
  static int read_keys(const Socket& socket, Direction direction, void* value, socklen_t* size);

  ssize_t send_raw(Socket& socket, std::span<const std::uint8_t> bytes);
  ssize_t send_records(Socket& socket, const msghdr& message, int flags);
  // Sends the open record, or nothing. 0 or errno.
  int flush(Socket& socket);
  int emit(Socket& socket, std::uint8_t type, std::span<const std::uint8_t> payload);

  static ssize_t receive_raw(Socket& socket, std::span<std::uint8_t> buffer);
  ssize_t receive_records(Socket& socket, msghdr& message, std::span<std::uint8_t> buffer) const;
  // Answers what open_next() found instead of a record.
  static ssize_t report(Socket& socket, int sys_errno);
  // Decrypts the next record into `opened`. 0, an errno, or kEndOfStream.
  int open_next(Socket& socket) const;

  FakeTraits traits_;
  std::map<int, Socket> sockets_;
  int next_fd_ = 1000;  // beyond what a test program has open, so that no real one is hit
  std::map<FakeCall, std::size_t> calls_;
  std::map<FakeCall, std::map<std::size_t, int>> failures_;  // by absolute number of the call
  std::map<FakeCall, int> lasting_failures_;
};

// One record as a peer with these keys puts it on the wire; the keys are not moved on.
[[nodiscard]] std::vector<std::uint8_t> fake_seal(const CryptoInfo& keys, std::uint8_t type,
                                                  std::span<const std::uint8_t> payload);

}  // namespace ktls
