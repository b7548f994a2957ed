// FakeKernel's options that are not keys: of SOL_TLS after net/tls/tls_main.c, do_tls_setsockopt
// and do_tls_getsockopt, and the few of SOL_SOCKET that show in how TLS behaves.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ktls/core/linux_tls.h"
#include "tests/support/fake_kernel.h"

namespace ktls {
namespace {

// include/net/tls.h, TLS_MIN_RECORD_SIZE_LIM
constexpr std::uint16_t kRecordSizeLimitLeast = 64;

template <typename Word>
Word word_of(std::span<const std::uint8_t> bytes) {
  Word word = 0;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

template <typename Word>
int write_word(Word word, void* value, socklen_t* size) {
  std::memcpy(value, &word, sizeof word);
  *size = sizeof word;
  return 0;
}

// prot_info.version: that of either direction, 0 where neither has keys.
std::uint16_t version_of(const std::optional<FakeKeys>& tx, const std::optional<FakeKeys>& rx) {
  if (tx) return tx->version();
  return rx ? rx->version() : std::uint16_t{0};
}

}  // namespace

int FakeKernel::set_socket_option(Socket& socket, int name, const void* value, socklen_t size) {
  if (name == SO_LINGER && size == sizeof(linger)) {
    linger option{};
    std::memcpy(&option, value, sizeof option);
    socket.resets_at_close = option.l_onoff != 0 && option.l_linger == 0;
    return 0;
  }
  if (name == SO_ZEROCOPY && size == sizeof(int)) return 0;  // what sendmsg makes of it, it refuses
  if (name == SO_RCVLOWAT && size == sizeof(int)) {
    int low_water = 0;
    std::memcpy(&low_water, value, sizeof low_water);
    socket.low_water = static_cast<std::size_t>(std::max(low_water, 1));  // sock_set_rcvlowat
    return 0;
  }
  return ENOPROTOOPT;
}

int FakeKernel::set_option(Socket& socket, int name, const void* value, socklen_t size) const {
  if (socket.ulp != kUlpName) return ENOPROTOOPT;
  const std::span<const std::uint8_t> bytes(static_cast<const std::uint8_t*>(value),
                                            value == nullptr ? 0 : size);
  switch (name) {
    case TLS_TX_ZEROCOPY_RO:
      if (bytes.size() != sizeof(std::uint32_t) || word_of<std::uint32_t>(bytes) > 1) return EINVAL;
      socket.zerocopy_transmit = word_of<std::uint32_t>(bytes) == 1;
      return 0;
    case TLS_RX_EXPECT_NO_PAD:
      return set_expect_no_padding(socket, bytes);
    case TLS_TX_MAX_PAYLOAD_LEN:
      return traits_.payload_max ? set_payload_max(socket, bytes) : ENOPROTOOPT;
    default:
      return ENOPROTOOPT;
  }
}

// do_tls_setsockopt_no_pad: more than four bytes are taken if the others are zero.
int FakeKernel::set_expect_no_padding(Socket& socket, std::span<const std::uint8_t> value) {
  constexpr std::size_t kSize = sizeof(std::uint32_t);
  if (version_of(socket.tx, socket.rx) != TLS_1_3_VERSION || value.size() < kSize) return EINVAL;
  if (word_of<std::uint32_t>(value) > 1) return EINVAL;
  const auto rest = value.subspan(kSize);
  if (std::ranges::any_of(rest, [](std::uint8_t byte) { return byte != 0; })) return EINVAL;
  if (!socket.rx) return EINVAL;
  socket.expects_no_padding = word_of<std::uint32_t>(value) == 1;
  return 0;
}

// do_tls_setsockopt_tx_payload_len
int FakeKernel::set_payload_max(Socket& socket, std::span<const std::uint8_t> value) const {
  if (!socket.open_record.empty()) return EBUSY;
  if (value.size() != sizeof(std::uint16_t)) return EINVAL;
  const bool is_tls13 = version_of(socket.tx, socket.rx) == TLS_1_3_VERSION;
  const auto size = word_of<std::uint16_t>(value);
  if (size < kRecordSizeLimitLeast - (is_tls13 ? 1 : 0) || size > kFakePlaintextMax) return EINVAL;
  socket.payload_max = size;
  return 0;
}

int FakeKernel::read_option(const Socket& socket, int name, void* value, socklen_t* size) const {
  if (socket.ulp != kUlpName) return EOPNOTSUPP;
  switch (name) {
    case TLS_TX_ZEROCOPY_RO:
      if (*size != sizeof(std::uint32_t)) return EINVAL;
      return write_word<std::uint32_t>(socket.zerocopy_transmit ? 1 : 0, value, size);
    case TLS_RX_EXPECT_NO_PAD:
      if (version_of(socket.tx, socket.rx) != TLS_1_3_VERSION || !socket.rx) return EINVAL;
      if (*size < sizeof(std::uint32_t)) return EINVAL;
      return write_word<std::uint32_t>(socket.expects_no_padding ? 1 : 0, value, size);
    case TLS_TX_MAX_PAYLOAD_LEN:
      if (!traits_.payload_max) return ENOPROTOOPT;
      if (*size < sizeof(std::uint16_t)) return EINVAL;
      return write_word(socket.payload_max, value, size);
    default:
      return ENOPROTOOPT;
  }
}

}  // namespace ktls
