// The kernel contract, against FakeKernel as the kernels differ.
#include <memory>

#include "tests/support/fake_kernel.h"
#include "tests/support/kernel_contract.h"
#include "tests/support/kernel_contract_splice.h"

namespace ktls {
namespace {

class FakeUnderTest final : public KernelUnderTest {
 public:
  explicit FakeUnderTest(const FakeTraits& traits) : traits_(traits), kernel_(traits) {}
  ~FakeUnderTest() override { EXPECT_EQ(kernel_.open_descriptors(), 0U); }
  FakeUnderTest(const FakeUnderTest&) = delete;
  FakeUnderTest& operator=(const FakeUnderTest&) = delete;

  Syscalls& syscalls() override { return kernel_; }
  bool rekeys() override { return traits_.rekey; }
  bool limits_payload() override { return traits_.payload_max; }
  bool rewinds_retry() override { return traits_.rewinds_retry; }
  bool splices_pages() override { return traits_.splices_pages; }
  bool awaits_whole_record() override { return traits_.awaits_whole_record; }
  bool has_aead(Cipher cipher) override {
    return !traits_.missing_aeads.contains(static_cast<std::uint16_t>(cipher));
  }
  int tcp_socket() override { return kernel_.tcp_socket(); }
  int listening_socket() override { return kernel_.listening_socket(); }
  int udp_socket() override { return kernel_.udp_socket(); }
  int unix_socket() override { return kernel_.unix_socket(); }
  int mptcp_socket() override { return kernel_.udp_socket(); }  // to TCP_ULP they are alike
  int listen(int fd) override { return kernel_.listen(fd); }
  int disconnect(int fd) override { return kernel_.disconnect(fd); }
  const void* wild_pointer() override { return FakeKernel::wild_pointer(); }
  void shutdown_write(int fd) override { kernel_.shutdown_write(fd); }
  void shutdown_read(int fd) override { kernel_.shutdown_read(fd); }
  void wait_to_receive(int, int) override {}  // whatever is to come has come
  Bytes empty_record(Version version, std::uint8_t type) override {
    return fake_seal(contract_info(Cipher::kAes128Gcm, version), type, {});
  }
  Bytes padded_record() override {
    return fake_seal(contract_info(Cipher::kAes128Gcm, Version::kTls13), kTypeApplicationData,
                     bytes_of("padded"), 20);
  }
  int pipe(int fds[2]) override { return kernel_.pipe(fds); }
  int file_of(const Bytes& bytes) override { return kernel_.file_of(bytes); }
  ssize_t write(int fd, const Bytes& bytes) override { return kernel_.write(fd, bytes); }
  ssize_t read(int fd, std::span<std::uint8_t> buffer) override { return kernel_.read(fd, buffer); }
  ssize_t splice(int from, int to, std::size_t size, unsigned flags) override {
    return kernel_.splice(from, to, size, flags);
  }
  ssize_t sendfile(int to, int from, std::size_t offset, std::size_t size) override {
    return kernel_.sendfile(to, from, offset, size);
  }
  short readiness(int fd) override { return kernel_.readiness(fd); }
  std::size_t unread(int fd) override { return kernel_.unread(fd); }

 private:
  FakeTraits traits_;
  FakeKernel kernel_;
};

std::unique_ptr<KernelUnderTest> make_current() {
  return std::make_unique<FakeUnderTest>(FakeTraits{});
}
std::unique_ptr<KernelUnderTest> make_without_rekey() {
  return std::make_unique<FakeUnderTest>(FakeTraits::without_rekey());
}

std::unique_ptr<KernelUnderTest> make_without_rewind() {
  return std::make_unique<FakeUnderTest>(FakeTraits::without_rewind());
}
std::unique_ptr<KernelUnderTest> make_oldest() {
  return std::make_unique<FakeUnderTest>(FakeTraits::oldest());
}
// No kernel of Debian has SM4 or ARIA. Here they are, and carry records.
std::unique_ptr<KernelUnderTest> make_with_every_cipher() {
  return std::make_unique<FakeUnderTest>(FakeTraits::with_every_cipher());
}

const auto kKernels = ::testing::Values(
    KernelCase{"Current", &make_current}, KernelCase{"WithoutRekey", &make_without_rekey},
    KernelCase{"WithoutRewind", &make_without_rewind}, KernelCase{"Oldest", &make_oldest},
    KernelCase{"WithEveryCipher", &make_with_every_cipher});

std::string case_name(const ::testing::TestParamInfo<KernelCase>& test) {
  return test.param.name;
}

INSTANTIATE_TEST_SUITE_P(Fake, KernelContract, kKernels, &case_name);
INSTANTIATE_TEST_SUITE_P(Fake, KernelContractSplice, kKernels, &case_name);

}  // namespace
}  // namespace ktls
