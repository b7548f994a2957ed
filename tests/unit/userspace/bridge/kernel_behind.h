// KernelBehind: FakeKernel in the place of the kernel under a real socket.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ktls/base/endian.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/syscalls.h"
#include "tests/support/fake_kernel.h"
#include "userspace/record/connection_state.h"
#include "userspace/suite/cipher_suite.h"

namespace bridge::test {

// linux/tls.h, which only ktls/ includes.
inline constexpr int kSolTls = 282;
inline constexpr int kTlsTx = 1;
inline constexpr int kTlsRx = 2;

// The state that was installed, as the structure that the kernel holds tells it.
inline tls::ConnectionState state_of(std::span<const std::uint8_t> structure,
                                     const tls::CipherSuite& suite) {
  const auto& layout = ktls::layout_of(*suite.bulk_cipher->kernel);
  constexpr std::size_t kHeaderSize = 4;
  EXPECT_EQ(structure.size(), layout.structure_size());
  const auto iv = structure.subspan(kHeaderSize, layout.iv_size);
  const auto key = structure.subspan(kHeaderSize + layout.iv_size, layout.key_size);
  const auto salt =
      structure.subspan(kHeaderSize + layout.iv_size + layout.key_size, layout.salt_size);
  const auto sequence = ktls::load_big_endian<std::uint64_t>(structure.last(8).data());
  std::vector<std::uint8_t> nonce(salt.begin(), salt.end());
  const bool is_explicit =
      suite.serves(tls::ProtocolVersion::kTls12) && suite.bulk_cipher->explicit_nonce_size;
  if (!is_explicit) nonce.insert(nonce.end(), iv.begin(), iv.end());
  tls::TrafficKeys keys{.key = tls::WriteKey(key), .iv = tls::WriteIv(nonce), .mac_key = {}};
  const std::uint64_t explicit_nonce =
      is_explicit ? ktls::load_big_endian<std::uint64_t>(iv.data()) : 0;
  return tls::ConnectionState::create(suite.version_max, suite, std::move(keys),
                                      {.sequence = sequence, .explicit_nonce = explicit_nonce})
      .value();
}

// FakeKernel for the TLS side of a real connection: one of its own sockets takes the options that
// are meant for the real one.
class KernelBehind final : public ktls::Syscalls {
 public:
  KernelBehind() { EXPECT_EQ(fake_.tcp_pair(pair_.data()), 0); }

  ktls::FakeKernel& fake() { return fake_; }
  [[nodiscard]] int stand_in() const { return pair_[0]; }
  // The other end of the stand-in's connection.
  [[nodiscard]] int peer() const { return pair_[1]; }

  int setsockopt(int, int level, int name, const void* value, socklen_t size) override {
    return fake_.setsockopt(stand_in(), level, name, value, size);
  }
  int getsockopt(int, int level, int name, void* value, socklen_t* size) override {
    return fake_.getsockopt(stand_in(), level, name, value, size);
  }
  ssize_t sendmsg(int, const msghdr* message, int flags) override {
    return fake_.sendmsg(stand_in(), message, flags);
  }
  ssize_t recvmsg(int, msghdr* message, int flags) override {
    if (const auto hook = std::exchange(before_receive, nullptr)) hook();
    return fake_.recvmsg(stand_in(), message, flags);
  }
  int poll(int, short events, int timeout_ms) override {
    return fake_.poll(stand_in(), events, timeout_ms);
  }
  // The state that was installed; none if none was.
  std::optional<tls::ConnectionState> installed(ktls::Direction direction,
                                                const tls::CipherSuite& suite) {
    std::vector<std::uint8_t> structure(
        ktls::layout_of(*suite.bulk_cipher->kernel).structure_size());
    auto size = static_cast<socklen_t>(structure.size());
    const int name = direction == ktls::Direction::kTransmit ? kTlsTx : kTlsRx;
    if (fake_.getsockopt(stand_in(), kSolTls, name, structure.data(), &size) != 0) return {};
    return state_of(structure, suite);
  }

  // Called first by the next recvmsg: to do to the real socket what the kernel would.
  std::function<void()> before_receive;

  int tcp_pair(int fds[2]) override { return fake_.tcp_pair(fds); }
  int close(int fd) override { return fake_.close(fd); }

 private:
  ktls::FakeKernel fake_;
  std::array<int, 2> pair_{-1, -1};
};

}  // namespace bridge::test
