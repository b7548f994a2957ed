// KernelHalfTest: one direction of a connection in the kernel by itself, with FakeKernel for the
// kernel, on each kind of loop.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "ktls/core/socket.h"
#include "tests/unit/userspace/bridge/kernel_behind.h"
#include "tests/unit/userspace/io/loop_fixture.h"
#include "userspace/bridge/kernel_keys.h"
#include "userspace/bridge/kernel_sender.h"

namespace bridge::test {

inline std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

class KernelHalfTest : public LoopTest {
 protected:
  [[nodiscard]] static const tls::CipherSuite& suite() { return *tls::find_cipher_suite(0x1301); }
  [[nodiscard]] static tls::TrafficSecret secret() {
    return tls::TrafficSecret::with_size(tls::size_of(suite().prf_hash));
  }
  static void install(KernelBehind& kernel, ktls::Direction direction) {
    auto keys = tls::derive_traffic_keys(suite(), secret());
    auto state =
        tls::ConnectionState::create(tls::ProtocolVersion::kTls13, suite(), *std::move(keys));
    ktls::TlsSocket socket(0, kernel);
    ASSERT_TRUE(socket.attach());
    ASSERT_TRUE(install_next(socket, direction, *std::move(state)));
  }
  [[nodiscard]] std::unique_ptr<Sender> sender(KernelBehind& kernel, int fd,
                                               std::uint64_t budget = tls::kNoRecordLimit,
                                               bool zerocopy = true) {
    install(kernel, ktls::Direction::kTransmit);
    const KernelSendState state{.cipher = ktls::Cipher::kAes128Gcm,
                                .rekeys = true,
                                .zerocopy = zerocopy,
                                .record_size = tls::kPlaintextSizeMax};
    return std::make_unique<KernelSender>(loop(), fd, kernel, state, KeyChain(suite(), secret()),
                                          KeyBudget(budget, 0, std::chrono::milliseconds(0)));
  }
};

}  // namespace bridge::test
