// The kernel contract, against FakeKernel as the kernels differ.
#include <memory>

#include "tests/support/fake_kernel.h"
#include "tests/support/kernel_contract.h"

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
  bool has_aead(Cipher cipher) override {
    return !traits_.missing_aeads.contains(static_cast<std::uint16_t>(cipher));
  }
  int tcp_socket() override { return kernel_.tcp_socket(); }
  int listening_socket() override { return kernel_.listening_socket(); }
  int udp_socket() override { return kernel_.udp_socket(); }
  void shutdown_write(int fd) override { kernel_.shutdown_write(fd); }
  Bytes empty_record(Version version, std::uint8_t type) override {
    return fake_seal(contract_info(Cipher::kAes128Gcm, version), type, {});
  }

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

// No kernel of Debian has SM4 or ARIA. Here they are, and carry records.
std::unique_ptr<KernelUnderTest> make_with_every_cipher() {
  return std::make_unique<FakeUnderTest>(FakeTraits::with_every_cipher());
}

INSTANTIATE_TEST_SUITE_P(Fake, KernelContract,
                         ::testing::Values(KernelCase{"Current", &make_current},
                                           KernelCase{"WithoutRekey", &make_without_rekey},
                                           KernelCase{"WithEveryCipher", &make_with_every_cipher}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ktls
