// KernelContract: what ktls/core relies on from a kernel, as tests that run against FakeKernel
// and against real kernels alike, which keeps the fake honest.
//
// A test program adds kernel_contract_*_test.cpp to its sources and instantiates KernelContract
// with the kernels it has.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/core/crypto_info.h"
#include "ktls/core/socket.h"
#include "ktls/core/syscalls.h"

namespace ktls {

inline constexpr std::uint8_t kTypeAlert = 21;
inline constexpr std::uint8_t kTypeHandshake = 22;
inline constexpr std::uint8_t kTypeApplicationData = 23;

using Bytes = std::vector<std::uint8_t>;

// What the contract needs beyond Syscalls.
class KernelUnderTest {
 public:
  virtual ~KernelUnderTest() = default;

  virtual Syscalls& syscalls() = 0;
  // Why the contract cannot be tried here; empty if it can.
  virtual std::string unavailable() { return {}; }
  // Whether a second install of TLS 1.3 keys is expected to be taken.
  virtual bool rekeys() = 0;
  // Whether TLS_TX_MAX_PAYLOAD_LEN is expected to be taken.
  virtual bool limits_payload() = 0;
  // Whether TLS_RX_EXPECT_NO_PAD is expected to leave the bytes behind a control record alone.
  virtual bool rewinds_retry() = 0;
  // Whether SPLICE_F_MORE is expected to leave a record open, as MSG_MORE does.
  virtual bool splices_pages() = 0;
  // Whether POLLIN is expected to wait for a whole record.
  virtual bool awaits_whole_record() = 0;
  // Whether the kernel is expected to have the cipher itself, and not just its number.
  virtual bool has_aead(Cipher cipher) = 0;

  virtual int tcp_socket() = 0;
  virtual int listening_socket() = 0;
  virtual int udp_socket() = 0;
  virtual int unix_socket() = 0;
  // -1 where the kernel has no such protocol.
  virtual int mptcp_socket() = 0;
  // listen(2), and connect(2) to AF_UNSPEC, as system calls.
  virtual int listen(int fd) = 0;
  virtual int disconnect(int fd) = 0;
  // Where no memory is.
  virtual const void* wild_pointer() = 0;
  virtual void shutdown_write(int fd) = 0;
  virtual void shutdown_read(int fd) = 0;
  // From now on receiving waits, for this long: what would be EAGAIN is EAGAIN then.
  virtual void wait_to_receive(int fd, int timeout_ms) = 0;
  // Record number 0 without content, under contract_keys(kAes128Gcm, version). No kernel sends
  // one, but peers do.
  virtual Bytes empty_record(Version version, std::uint8_t type) = 0;
  // "padded" as application data number 0 under contract_keys(kAes128Gcm, kTls13), with 20 bytes of
  // padding. No kernel sends one of these either.
  virtual Bytes padded_record() = 0;

  // What ktls/ has no use for, and its callers have: -1 and errno on failure. A pipe is
  // non-blocking and keeps what one write wrote as one buffer, so that each is a page in a record.
  virtual int pipe(int fds[2]) = 0;
  virtual int file_of(const Bytes& bytes) = 0;
  virtual ssize_t write(int fd, const Bytes& bytes) = 0;
  virtual ssize_t read(int fd, std::span<std::uint8_t> buffer) = 0;
  virtual ssize_t splice(int from, int to, std::size_t size, unsigned flags) = 0;
  virtual ssize_t sendfile(int to, int from, std::size_t offset, std::size_t size) = 0;
  // What poll(2) answers at once of POLLIN, POLLOUT, POLLRDHUP, POLLERR and POLLHUP.
  virtual short readiness(int fd) = 0;
  // FIONREAD
  virtual std::size_t unread(int fd) = 0;
};

struct KernelCase {
  const char* name;
  std::unique_ptr<KernelUnderTest> (*make)();
};
inline void PrintTo(const KernelCase& kernel, std::ostream* out) {
  *out << kernel.name;
}

struct Suite {
  Cipher cipher;
  Version version;
};
// Every cipher with every version that it serves.
std::vector<Suite> all_suites();
std::string name_of(const Suite& suite);

// Key bytes 10 11 12 ..., IV bytes a0 a1 a2 ..., explicit nonce as the sequence number. `shift` is
// added to each byte of the key, for other keys than these.
RecordKeys contract_keys(Cipher cipher, Version version, std::uint64_t sequence = 0,
                         std::uint8_t shift = 0);
// Their encoding, which must succeed.
CryptoInfo contract_info(Cipher cipher, Version version, std::uint64_t sequence = 0,
                         std::uint8_t shift = 0);

Bytes bytes_of(std::string_view text);
Bytes pattern(std::size_t size);

class KernelContract : public ::testing::TestWithParam<KernelCase> {
 protected:
  struct Pair {
    int sender = -1;
    int receiver = -1;
  };

  void SetUp() override;
  void TearDown() override;

  Syscalls& syscalls() { return kernel_->syscalls(); }
  KernelUnderTest& kernel() { return *kernel_; }
  TlsSocket socket(int fd) { return TlsSocket(fd, syscalls()); }
  // all_suites() whose cipher this kernel has.
  std::vector<Suite> suites();

  // Closed in TearDown unless close_now() did.
  int own(int fd);
  void close_now(int fd);
  Pair connected_pair();
  // Both ends attached.
  Pair attached_pair();
  // The same, and the receiver receives with contract_keys; the sender sends bytes as they are.
  Pair receiving_pair(Cipher cipher, Version version, std::uint64_t sequence = 0);
  // The sender transmits and the receiver receives with contract_keys.
  Pair installed_pair(Cipher cipher, Version version, std::uint64_t sequence = 0);

  // receive() as soon as something is there; the last error if nothing comes.
  Result<ReceivedBytes> receive(int fd, std::span<std::uint8_t> buffer);
  // The next receive() must bring exactly this, with its type.
  void expect_record(int fd, std::uint8_t type, const Bytes& payload);
  void expect_receive_error(int fd, int sys_errno);
  void send_all(int fd, std::uint8_t type, const Bytes& payload);
  // Application data, with the record left open.
  void send_open(int fd, const Bytes& payload);
  std::uint64_t sequence_of(int fd, Direction direction, Cipher cipher);

  // Past TLS: the bytes as they are.
  void write_raw(int fd, const Bytes& bytes);
  Bytes read_raw(int fd, std::size_t size);
  // What recvmsg without a control buffer answers: the size, or -errno.
  ssize_t plain_receive(int fd, std::span<std::uint8_t> buffer);
  // What a recvmsg of one part answers, with a control buffer: the type too, 0 where none came.
  struct Received {
    ssize_t size = 0;  // or -errno
    std::uint8_t type = 0;
    bool end_of_record = false;
    Bytes bytes;
  };
  // Waits until something is there, as receive() does.
  Received receive_with(int fd, std::size_t size, int flags);
  // The same at once, and for nothing.
  Received receive_now(int fd, std::size_t size, int flags = 0);
  // Until poll(2) answers `events` as told, with patience.
  void expect_readiness(int fd, int events);
  // Closes with an RST in the place of a FIN, and waits until `peer` has it.
  void reset_now(int fd, int peer);
  void set_receive_low_water(int fd, int size);
  // One record as a peer with these keys sends it.
  Bytes sealed(const CryptoInfo& keys, std::uint8_t type, const Bytes& payload);
  int install_errno(int fd, Direction direction, const void* value, std::size_t size);
  // Past TlsSocket: errno of an option of SOL_TLS that is set to these bytes.
  int option_errno(int fd, int name, const void* value, std::size_t size);

 private:
  std::unique_ptr<KernelUnderTest> kernel_;
  std::vector<int> owned_;
};

}  // namespace ktls
