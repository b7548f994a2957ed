// FakeKernel: a Syscalls that models the kernel's TLS sockets in memory, with its errnos, so that
// what is built on ktls/core is tested on any machine and at every failure.
//
// It never blocks: what would wait answers EAGAIN, as a socket does whose SO_RCVTIMEO has passed.
// It knows all options of SOL_TLS and all flags of send and of receiving. Pipes and files are its
// own, so that splice and sendfile are modelled too. The same typed tests run against it and
// against real kernels (tests/support/kernel_contract.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
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
  bool tls_module = true;           // TCP_ULP knows "tls"
  bool rekey = true;                // Linux 6.14 and later
  bool payload_max = true;          // TLS_TX_MAX_PAYLOAD_LEN, 6.19
  bool end_of_record = true;        // MSG_EOR in send, 6.6
  bool rewinds_retry = true;        // not in 6.1.176 and 6.12.95, see open_into()
  bool rewinds_padded = true;       // if it does so at all; no kernel is known that does not
  bool splices_pages = true;        // MSG_SPLICE_PAGES, 6.5: SPLICE_F_MORE leaves a record open
  bool awaits_whole_record = true;  // POLLIN, not so in 6.1
  std::set<std::uint16_t> missing_aeads{55, 56, 57, 58};  // SM4 and ARIA are not built
  // Bytes under way to one socket before its peer's send answers EAGAIN; a record is taken whole.
  std::size_t wire_capacity = 262144;

  [[nodiscard]] static FakeTraits without_tls();
  [[nodiscard]] static FakeTraits without_rekey();   // 6.12 with the rewind
  [[nodiscard]] static FakeTraits without_rewind();  // 6.12.95
  [[nodiscard]] static FakeTraits oldest();          // 6.1.176
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
  kPoll,
  kClose,
};

class FakeKernel final : public Syscalls {
 public:
  explicit FakeKernel(FakeTraits traits = {}) : traits_(std::move(traits)) {}

  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override;
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override;
  ssize_t sendmsg(int fd, const msghdr* message, int flags) override;
  ssize_t recvmsg(int fd, msghdr* message, int flags) override;
  int poll(int fd, short events, int timeout_ms) override;
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
  [[nodiscard]] int unix_socket();
  // Attaches a protocol other than tls, such as "smc".
  void attach_other_ulp(int fd, std::string name);
  // As the system calls, of a connected socket; connect(2) to AF_UNSPEC.
  int listen(int fd);
  int disconnect(int fd);
  // The one address that the kernel cannot read from.
  [[nodiscard]] static const void* wild_pointer();
  void shutdown_write(int fd);
  void shutdown_read(int fd);

  // The calls that ktls/ leaves to others, as the system calls of these names. A pipe is never
  // full, and holds what one write wrote as one buffer (O_DIRECT of pipe(2)).
  int pipe(int fds[2]);
  ssize_t write(int pipe_fd, std::span<const std::uint8_t> bytes);
  ssize_t read(int pipe_fd, std::span<std::uint8_t> buffer);
  [[nodiscard]] int file_of(std::span<const std::uint8_t> bytes);
  ssize_t splice(int from, int to, std::size_t size, unsigned flags);
  ssize_t sendfile(int to, int from, std::size_t offset, std::size_t size);
  // POLLIN, POLLOUT, POLLRDHUP, POLLERR and POLLHUP, as poll(2) would set them.
  [[nodiscard]] short readiness(int fd) const;
  // FIONREAD: what TCP holds, and not what the reader will get.
  [[nodiscard]] std::size_t unread(int fd) const;

  // Bytes that reach `fd` as though its peer's TCP had sent them.
  void inject(int fd, std::span<const std::uint8_t> bytes);
  // A record that reaches `fd`, sealed under its receive keys: for a socket whose peer is the
  // test alone. TLS_RX must be installed.
  void queue_record(int fd, std::uint8_t type, std::span<const std::uint8_t> payload);
  // Every record sent on `fd` since TLS_TX was first installed, as plaintext.
  [[nodiscard]] const std::vector<FakeRecord>& sent_records(int fd) const;

  [[nodiscard]] std::size_t open_descriptors() const {
    return sockets_.size() + pipe_ends_.size() + files_.size();
  }

 private:
  using Bytes = std::vector<std::uint8_t>;

  enum class State : std::uint8_t { kClosed, kListening, kEstablished, kCloseWait, kReset };

  struct Socket {
    State state = State::kClosed;
    int no_tcp_errno = 0;  // of TCP_ULP, where this is no TCP socket
    bool write_is_shut = false;
    bool read_is_shut = false;
    bool resets_at_close = false;  // SO_LINGER of no time
    std::size_t low_water = 1;     // SO_RCVLOWAT
    int pending_error = 0;         // sk_err: refuses to send until SO_ERROR takes it
    bool parser_stopped = false;   // after a header that is no record's
    bool rekey_pending = false;    // after a KeyUpdate, until TLS_RX
    int peer = -1;
    std::string ulp;
    bool zerocopy_transmit = false;
    bool expects_no_padding = false;
    std::uint16_t payload_max = kFakePlaintextMax;
    std::optional<FakeKeys> tx;
    std::optional<FakeKeys> rx;
    std::optional<FakeKeys> queue_keys;  // rx as queue_record() moves it on
    Bytes wire;                          // arrived from the peer and not yet read
    std::deque<FakeRecord> opened;       // decrypted and not yet read to its end
    Bytes open_record;                   // collected under MSG_MORE
    std::size_t fragments = 0;           // of which the open record is made
    bool ends_in_copy = false;           // so that a copy needs no fragment of its own
    std::vector<FakeRecord> sent;
  };

  struct Pipe {
    std::deque<Bytes> buffers;
    bool writer_is_open = true;
  };
  struct PipeEnd {
    std::shared_ptr<Pipe> pipe;
    bool writes = false;
  };
  // One recvmsg: what it was given, and how far it has come.
  struct Delivery;
  // How bytes come into a record: copied behind what is there, or as a page of their own.
  enum class Fragment : std::uint8_t { kCopy, kPage };

  // The errno to inject into this call, 0 if none; counts the call.
  int injected(FakeCall call);
  Socket* find(int fd);
  // Of a call for a socket that find() has not.
  [[nodiscard]] int errno_without_socket(int fd) const;
  int add(State state, int peer = -1);

  int attach(Socket& socket, const void* value, socklen_t size);
  int install(Socket& socket, Direction direction, const void* value, socklen_t size);
  int check_install(const Socket& socket, Direction direction,
                    std::span<const std::uint8_t> structure, const FakeCipher*& cipher) const;
  static int read_ulp(const Socket& socket, void* value, socklen_t* size);
  static int read_keys(const Socket& socket, Direction direction, void* value, socklen_t* size);

  // fake_kernel_options.cpp: the options that are not keys. 0 or errno.
  int set_option(Socket& socket, int name, const void* value, socklen_t size) const;
  int read_option(const Socket& socket, int name, void* value, socklen_t* size) const;
  static int set_expect_no_padding(Socket& socket, std::span<const std::uint8_t> value);
  int set_payload_max(Socket& socket, std::span<const std::uint8_t> value) const;

  static int set_socket_option(Socket& socket, int name, const void* value, socklen_t size);

  // The connection ends as by an RST from the peer.
  static void reset(Socket& socket);

  // fake_kernel_send.cpp
  ssize_t send_raw(Socket& socket, std::span<const std::uint8_t> bytes);
  ssize_t send_records(Socket& socket, const msghdr& message, int flags);
  // Into the open record, which is sent whenever it is full, and at the end unless it stays open.
  // 0 or errno; `rest` is left with what was not taken.
  int fill(Socket& socket, std::uint8_t type, std::span<const std::uint8_t>& rest,
           Fragment fragment, bool stays_open);
  // Sends the open record, or nothing. 0 or errno.
  int flush(Socket& socket);
  int emit(Socket& socket, std::uint8_t type, std::span<const std::uint8_t> payload);
  [[nodiscard]] bool is_full(const Socket& socket) const;

  // fake_kernel_receive.cpp
  static ssize_t receive_raw(Socket& socket, std::span<std::uint8_t> buffer, bool peeks);
  ssize_t receive_records(Socket& socket, Delivery& delivery) const;
  // From the records that are decrypted already. False when the call ends with them.
  static bool take_opened(Socket& socket, Delivery& delivery);
  // One more record, which `opened` keeps if it is not taken whole. As take_opened().
  bool open_into(Socket& socket, Delivery& delivery) const;
  // Decrypts the next record. 0, an errno, or kFakeEndOfStream.
  int open_next(Socket& socket, FakeRecord& record) const;
  // Looks at the header that came first; what is none stops the parser.
  static void parse(Socket& socket);
  [[nodiscard]] static bool has_record(const Socket& socket);

  // fake_kernel_pipe.cpp
  ssize_t splice_to_pipe(Socket& socket, Pipe& pipe, std::size_t size) const;
  ssize_t splice_from_pipe(Socket& socket, Pipe& pipe, std::size_t size, bool more);

  FakeTraits traits_;
  std::map<int, Socket> sockets_;
  std::map<int, PipeEnd> pipe_ends_;
  std::map<int, Bytes> files_;
  int next_fd_ = 1000;  // beyond what a test program has open, so that no real one is hit
  std::map<FakeCall, std::size_t> calls_;
  std::map<FakeCall, std::map<std::size_t, int>> failures_;  // by absolute number of the call
  std::map<FakeCall, int> lasting_failures_;
};

// One record as a peer with these keys puts it on the wire; the keys are not moved on. `padding`
// is for TLS 1.3 alone.
[[nodiscard]] std::vector<std::uint8_t> fake_seal(const CryptoInfo& keys, std::uint8_t type,
                                                  std::span<const std::uint8_t> payload,
                                                  std::size_t padding = 0);

}  // namespace ktls
