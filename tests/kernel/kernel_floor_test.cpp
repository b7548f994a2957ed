// The kernel floor against the kernel it runs on: the contract, known records on the wire, and
// what probe() says.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "ktls/core/capability.h"
#include "ktls/core/reason.h"
#include "tests/support/kernel_contract.h"
#include "tests/support/kernel_contract_splice.h"

namespace ktls {
namespace {

Bytes from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
  return bytes;
}

struct EmptyRecord {
  Version version;
  std::uint8_t type;
  std::string_view hex;
};
// Computed with OpenSSL 3.0's AES-128-GCM by RFC 5246 section 6.2.3.3 with RFC 5288, and by RFC
// 8446 section 5.2: number 0 under contract_keys().
constexpr std::array<EmptyRecord, 4> kEmptyRecords{{
    {Version::kTls12, kTypeHandshake, "16030300180000000000000000aa6c94a8742b13ee1166b158c57b5921"},
    {Version::kTls13, kTypeHandshake, "17030300111170990a29349af6ec3dbcb77a552fbbe4"},
    {Version::kTls12, kTypeApplicationData,
     "170303001800000000000000009a613ef6274f99cb43a3f45257b97805"},
    {Version::kTls13, kTypeApplicationData, "1703030011107c5c4f23a658d7c8107936b03c6a0ceb"},
}};

class RunningKernel final : public KernelUnderTest {
 public:
  Syscalls& syscalls() override { return system_calls(); }
  std::string unavailable() override {
    const int sys_errno = capability().attach_errno;
    if (sys_errno == 0) return {};
    return "this kernel does no TLS: " + std::string(text_of(reason_of_attach(sys_errno)).sentence);
  }
  bool rekeys() override { return capability().rekey; }
  bool rewinds_retry() override { return capability().expect_no_padding; }
  // By version, as nothing but what they do tells of them. Of the latter it is only known that 6.1
  // differs from 6.12.
  bool splices_pages() override { return version() >= std::pair(6, 5); }
  bool awaits_whole_record() override { return version() > std::pair(6, 1); }
  bool limits_payload() override { return capability().payload_max_errno == 0; }
  // Debian's kernels have four of the eight; SM4 and ARIA are numbers there, and where a kernel has
  // them they are held to the contract, too.
  bool has_aead(Cipher cipher) override {
    constexpr std::array kHad{Cipher::kAes128Gcm, Cipher::kAes256Gcm, Cipher::kAes128Ccm,
                              Cipher::kChaCha20Poly1305};
    return std::ranges::find(kHad, cipher) != kHad.end() ||
           capability().install_error(cipher, Version::kTls12, Direction::kTransmit) == 0;
  }
  int tcp_socket() override { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }
  int listening_socket() override {
    const int fd = tcp_socket();
    EXPECT_EQ(::listen(fd, 1), 0);
    return fd;
  }
  int udp_socket() override { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }
  int unix_socket() override { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }
  // A kernel may be built without MPTCP, or have it switched off.
  int mptcp_socket() override {
    return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
  }
  int listen(int fd) override { return ::listen(fd, 1); }
  int disconnect(int fd) override {
    const sockaddr nowhere{AF_UNSPEC, {}};
    return ::connect(fd, &nowhere, sizeof nowhere);
  }
  const void* wild_pointer() override {
    const auto page_size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* gone = ::mmap(nullptr, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(gone, MAP_FAILED);
    EXPECT_EQ(::munmap(gone, page_size), 0);
    return gone;
  }
  void shutdown_write(int fd) override { EXPECT_EQ(::shutdown(fd, SHUT_WR), 0); }
  void shutdown_read(int fd) override { EXPECT_EQ(::shutdown(fd, SHUT_RD), 0); }
  void wait_to_receive(int fd, int timeout_ms) override {
    const timeval timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
    EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    EXPECT_EQ(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
  }
  Bytes empty_record(Version version, std::uint8_t type) override {
    for (const EmptyRecord& record : kEmptyRecords) {
      if (record.version == version && record.type == type) return from_hex(record.hex);
    }
    ADD_FAILURE() << "no such record";
    return {};
  }
  // Computed with OpenSSL 3.0 by RFC 8446 section 5.4.
  Bytes padded_record() override {
    return from_hex(
        "170303002b77e8c41c0afb65cd935fb14089763bf30cd71f517eb9015755b41d4c55a82b67e3925b73960f57a4"
        "8e0ead");
  }
  int pipe(int fds[2]) override {
    const int made = ::pipe2(fds, O_CLOEXEC | O_NONBLOCK | O_DIRECT);
    // Room for more buffers than the sixteen of a new one.
    if (made == 0) {
      EXPECT_GT(::fcntl(fds[1], F_SETPIPE_SZ, 1 << 18), 0);
    }
    return made;
  }
  int file_of(const Bytes& bytes) override {
    const int fd = ::memfd_create("contract", MFD_CLOEXEC);
    EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return fd;
  }
  ssize_t write(int fd, const Bytes& bytes) override {
    return ::write(fd, bytes.data(), bytes.size());
  }
  ssize_t read(int fd, std::span<std::uint8_t> buffer) override {
    return ::read(fd, buffer.data(), buffer.size());
  }
  ssize_t splice(int from, int to, std::size_t size, unsigned flags) override {
    return ::splice(from, nullptr, to, nullptr, size, flags | SPLICE_F_NONBLOCK);
  }
  ssize_t sendfile(int to, int from, std::size_t offset, std::size_t size) override {
    auto at = static_cast<off_t>(offset);
    return ::sendfile(to, from, &at, size);
  }
  short readiness(int fd) override {
    pollfd entry{fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    EXPECT_GE(::poll(&entry, 1, 0), 0);
    return entry.revents;
  }
  std::size_t unread(int fd) override {
    int size = -1;
    EXPECT_EQ(::ioctl(fd, FIONREAD, &size), 0);
    return static_cast<std::size_t>(size);
  }

 private:
  static std::pair<int, int> version() {
    utsname name{};
    EXPECT_EQ(::uname(&name), 0);
    const std::string_view release(name.release);  // "6.12.95+deb13-amd64"
    std::pair<int, int> numbers;
    const auto major = std::from_chars(release.begin(), release.end(), numbers.first);
    EXPECT_EQ(major.ec, std::errc());
    const auto minor = std::from_chars(major.ptr + 1, release.end(), numbers.second);
    EXPECT_EQ(minor.ec, std::errc());
    return numbers;
  }
  static const Capability& capability() {
    static const Capability found = probe();
    return found;
  }
};

std::unique_ptr<KernelUnderTest> make_running() {
  return std::make_unique<RunningKernel>();
}

INSTANTIATE_TEST_SUITE_P(Running, KernelContract,
                         ::testing::Values(KernelCase{"Kernel", &make_running}),
                         [](const auto& test) { return std::string(test.param.name); });
INSTANTIATE_TEST_SUITE_P(Running, KernelContractSplice,
                         ::testing::Values(KernelCase{"Kernel", &make_running}),
                         [](const auto& test) { return std::string(test.param.name); });

// ---- what only a real kernel can show ---------------------------------------------------------

class RunningKernelFloor : public KernelContract {
 protected:
  // What the wire carries when `plaintext` is sent under these keys.
  Bytes on_the_wire(const RecordKeys& keys, std::uint8_t type, const Bytes& plaintext) {
    const auto info = encode(keys);
    EXPECT_TRUE(info.has_value());
    return info ? sealed(*info, type, plaintext) : Bytes();
  }
};

INSTANTIATE_TEST_SUITE_P(Running, RunningKernelFloor,
                         ::testing::Values(KernelCase{"Kernel", &make_running}),
                         [](const auto& test) { return std::string(test.param.name); });

// RFC 8448 section 3, "Simple 1-RTT Handshake": the client's application data and its alert.
TEST_P(RunningKernelFloor, SealsTheRecordsOfRfc8448) {
  const auto client_keys = [](std::uint64_t sequence) {
    RecordKeys keys;
    keys.key = RecordKey(from_hex("17422dda596ed5d9acd890e3c63f5051"));
    keys.iv = RecordIv(from_hex("5b78923dee08579033e523d9"));
    keys.sequence = sequence;
    return keys;
  };
  Bytes payload(50);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(on_the_wire(client_keys(0), kTypeApplicationData, payload),
            from_hex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b4"
                     "6b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"));
  EXPECT_EQ(on_the_wire(client_keys(1), kTypeAlert, {1, 0}),
            from_hex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"));
}

struct KnownRecord {
  Cipher cipher;
  Version version;
  std::string_view hex;
};
// "kernel floor" as application data number 7 under contract_keys(), with the explicit nonce
// 0102030405060708 in TLS 1.2 GCM and CCM; computed with OpenSSL 3.0 by RFC 5288, RFC 6655, RFC
// 7905 and RFC 8446. Agreement of two kernel sockets alone would not notice a salt and an iv that
// are swapped.
constexpr std::array<KnownRecord, 8> kKnownRecords{{
    {Cipher::kAes128Gcm, Version::kTls12,
     "170303002401020304050607083237202425b521104515e5380aea1b053e76ed141649e1cb52171b70"},
    {Cipher::kAes128Gcm, Version::kTls13,
     "170303001d8329c7a2b664d33c8136b385f8d52b895de7d7c0ac8bb0edca2718aa3e"},
    {Cipher::kAes256Gcm, Version::kTls12,
     "170303002401020304050607086a8960bab26a36d4c5966a497fe8196e3577154ec142130845c5b028"},
    {Cipher::kAes256Gcm, Version::kTls13,
     "170303001d4b40ed683e8cff8d9eddce73fb3c73025c2ecc7c9f06af1b94f04bf064"},
    {Cipher::kAes128Ccm, Version::kTls12,
     "17030300240102030405060708f9bf9846227f5fd6d495209ce38e27c10d69c61cc02d8c160688e0fd"},
    {Cipher::kAes128Ccm, Version::kTls13,
     "170303001df86bc5b757b5806143f602f73904dd0caa6b455b3de58b90876f5174d5"},
    {Cipher::kChaCha20Poly1305, Version::kTls12,
     "170303001c9bf86f2dd8d336c6e879f0bab57d88711daf3411780395106a363774"},
    {Cipher::kChaCha20Poly1305, Version::kTls13,
     "170303001d9bf86f2dd8d336c6e879f0bafcd2db5acffc67ff778788f3f423624c7c"},
}};

TEST_P(RunningKernelFloor, SealsAndOpensTheRecordsOfOpensslForEveryCipherAndVersion) {
  for (const KnownRecord& known : kKnownRecords) {
    SCOPED_TRACE(name_of(Suite{known.cipher, known.version}));
    RecordKeys keys = contract_keys(known.cipher, known.version, 7);
    keys.explicit_nonce = 0x0102030405060708;
    EXPECT_EQ(on_the_wire(keys, kTypeApplicationData, bytes_of("kernel floor")),
              from_hex(known.hex));

    const Pair pair = attached_pair();
    const CryptoInfo info = contract_info(known.cipher, known.version, 7);
    ASSERT_TRUE(socket(pair.receiver).install(Direction::kReceive, info).has_value());
    write_raw(pair.sender, from_hex(known.hex));
    expect_record(pair.receiver, kTypeApplicationData, bytes_of("kernel floor"));
  }
}

}  // namespace
}  // namespace ktls
