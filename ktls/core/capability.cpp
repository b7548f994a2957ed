// probe(): one trial a cipher, version and direction, each on sockets that nothing was tried on.
#include "ktls/core/capability.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include <poll.h>
#include <sys/uio.h>

#include "ktls/core/socket.h"
#include "ktls/core/trial_records.h"

namespace ktls {
namespace {

constexpr std::array kVersions{Version::kTls12, Version::kTls13};
constexpr std::size_t kReceiveIndex = 0;
constexpr std::size_t kTransmitIndex = 1;

// The record that a trial seals: close_notify (RFC 8446 section 6), to ourselves.
constexpr std::uint8_t kTrialAlertType = 21;
constexpr std::array<std::uint8_t, 2> kTrialAlert{1, 0};
constexpr std::uint8_t kTrialDataType = 23;
// No byte of the alert and none of trial_records.h, and not what a buffer that was never written
// holds.
constexpr std::uint8_t kCanary = 0xa5;
// Loopback delivers within microseconds, and a probe must end where it does not.
constexpr int kRecordTimeoutMs = 200;
constexpr int kRecordAttemptsMax = 5;

std::size_t index_of(Cipher cipher) {
  return static_cast<std::size_t>(&layout_of(cipher) - cipher_layouts().data());
}
std::size_t index_of(Version version) {
  return version == Version::kTls12 ? 0 : 1;
}
std::size_t index_of(Direction direction) {
  return direction == Direction::kReceive ? kReceiveIndex : kTransmitIndex;
}

int errno_of(const Result<void>& result) {
  return result ? 0 : result.error().sys_errno;
}

// Two connected sockets for one trial, closed afterwards through the same seam.
class TrialPair {
 public:
  explicit TrialPair(Syscalls& syscalls) : syscalls_(syscalls) {
    if (syscalls_.tcp_pair(fds_) != 0) errno_ = errno;
  }
  ~TrialPair() {
    if (errno_ != 0) return;
    for (const int fd : fds_) syscalls_.close(fd);
  }
  TrialPair(const TrialPair&) = delete;
  TrialPair& operator=(const TrialPair&) = delete;

  // The errno of attaching one end; that of making the pair, if there is none.
  [[nodiscard]] int attach(std::size_t end) {
    return errno_ != 0 ? errno_ : errno_of(socket(end).attach());
  }
  [[nodiscard]] TlsSocket socket(std::size_t end) { return TlsSocket(fds_[end], syscalls_); }
  // Bytes past TLS, whole or not at all: a new connection has room for them.
  [[nodiscard]] bool write(std::size_t end, std::span<std::uint8_t> bytes) {
    if (errno_ != 0) return false;
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t sent = syscalls_.sendmsg(fds_[end], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(bytes.size());
  }

 private:
  Syscalls& syscalls_;
  int fds_[2] = {-1, -1};
  int errno_ = 0;
};

// Keys that protect nothing: the few records that are ever sent under them are known to all. `fill`
// tells the keys of a rekey from the first ones.
Result<CryptoInfo> trial_info(const CipherLayout& layout, Version version, std::uint8_t fill) {
  std::array<std::uint8_t, RecordKey::kCapacity> bytes{};
  bytes.fill(fill);
  RecordKeys keys;
  keys.version = version;
  keys.cipher = layout.cipher;
  keys.key = RecordKey(std::span(bytes).first(layout.key_size));
  keys.iv = RecordIv(std::span(bytes).first(iv_size_of(version, layout.cipher)));
  return encode(keys);
}

int try_install(TrialPair& pair, std::size_t end, Direction direction, const CryptoInfo& info) {
  const int attach_errno = pair.attach(end);
  if (attach_errno != 0) return attach_errno;
  return errno_of(pair.socket(end).install(direction, info));
}

using DirectionTrials = std::array<int, 2>;
using CipherTrials = std::array<DirectionTrials, 2>;

// One end transmits, the other receives, so that neither trial sees what the other left behind.
// An AEAD that the one direction did not find is not looked for again: the lookup goes by its name
// alone, and has the kernel run modprobe several times (crypto/api.c, crypto_larval_lookup).
DirectionTrials try_version(Syscalls& syscalls, const CipherLayout& layout, Version version) {
  const auto info = trial_info(layout, version, kTrialKeyByte);
  // What the kernel would answer for a version that the cipher is not for.
  if (!info) return {EINVAL, EINVAL};
  TrialPair pair(syscalls);
  DirectionTrials trials{};
  trials[kReceiveIndex] = try_install(pair, 0, Direction::kReceive, *info);
  trials[kTransmitIndex] =
      trials[kReceiveIndex] == ENOENT ? ENOENT : try_install(pair, 1, Direction::kTransmit, *info);
  return trials;
}

CipherTrials try_cipher(Syscalls& syscalls, const CipherLayout& layout) {
  CipherTrials trials{};
  for (const Version version : kVersions) {
    const bool is_missing =
        layout.serves(version) && trials[index_of(Version::kTls12)][kReceiveIndex] == ENOENT;
    trials[index_of(version)] =
        is_missing ? DirectionTrials{ENOENT, ENOENT} : try_version(syscalls, layout, version);
  }
  return trials;
}

bool try_rekey(Syscalls& syscalls, const CipherLayout& layout) {
  const auto first = trial_info(layout, Version::kTls13, kTrialKeyByte);
  const auto second = trial_info(layout, Version::kTls13, 0x22);
  if (!first || !second) return false;
  TrialPair pair(syscalls);
  if (try_install(pair, 0, Direction::kTransmit, *first) != 0) return false;
  return pair.socket(0).install(Direction::kTransmit, *second).has_value();
}

// The largest value, which is the default: the option is asked for, nothing is changed.
int try_payload_max(Syscalls& syscalls) {
  TrialPair pair(syscalls);
  const int attach_errno = pair.attach(0);
  if (attach_errno != 0) return attach_errno;
  return errno_of(pair.socket(0).set_payload_max(kPayloadMaxMost));
}

bool try_zerocopy_transmit(Syscalls& syscalls) {
  TrialPair pair(syscalls);
  return pair.attach(0) == 0 && pair.socket(0).set_zerocopy_transmit(true).has_value();
}

// The next record, waited for a bounded number of times: readiness comes early on some kernels.
Result<ReceivedBytes> await_record(Syscalls& syscalls, TlsSocket socket,
                                   std::span<std::uint8_t> buffer) {
  auto received = socket.receive(buffer);
  for (int attempt = 0; attempt < kRecordAttemptsMax; ++attempt) {
    if (received || received.error().sys_errno != EAGAIN) return received;
    if (syscalls.poll(socket.fd(), POLLIN, kRecordTimeoutMs) < 0 && errno != EINTR) {
      return fail(Error::system(errno, "poll"));
    }
    received = socket.receive(buffer);
  }
  return received;
}

// One end receives under the trial keys and expects no padding.
bool try_install_expecting_no_padding(TrialPair& pair, const CryptoInfo& info) {
  return try_install(pair, 0, Direction::kReceive, info) == 0 &&
         pair.socket(0).set_expect_no_padding(true).has_value();
}

bool is_untouched(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == kCanary; });
}

// Where no padding is expected, a record that is not application data is decrypted twice: first
// into the receiver's buffer, then aside. A kernel that does not go back in the buffer in between
// writes the second result behind the first (net/tls/tls_sw.c, tls_decrypt_sw).
bool rewinds_for_control_record(Syscalls& syscalls, const CryptoInfo& info) {
  TrialPair pair(syscalls);
  if (!try_install_expecting_no_padding(pair, info)) return false;
  if (try_install(pair, 1, Direction::kTransmit, info) != 0) return false;
  if (!pair.socket(1).send(kTrialAlertType, kTrialAlert)) return false;

  std::array<std::uint8_t, 64> buffer{};
  buffer.fill(kCanary);
  const auto received = await_record(syscalls, pair.socket(0), buffer);
  if (!received || received->type != kTrialAlertType || received->size != kTrialAlert.size()) {
    return false;
  }
  return std::ranges::equal(std::span(buffer).first(kTrialAlert.size()), kTrialAlert) &&
         is_untouched(std::span(buffer).subspan(kTrialAlert.size()));
}

// The same with a padded record, which no kernel seals. What is joined to it must lie where the
// count of bytes says; its padding may be written behind them, but nothing beyond its own length.
bool rewinds_for_padded_record(Syscalls& syscalls, const CryptoInfo& info) {
  TrialPair pair(syscalls);
  // From end 1, which knows nothing of TLS, and before the keys are installed: what waits by then
  // is received at once.
  std::array<std::uint8_t, kTrialPaddedRecord.size() + kTrialNextRecord.size()> records{};
  const auto next = std::ranges::copy(kTrialPaddedRecord, records.begin()).out;
  std::ranges::copy(kTrialNextRecord, next);
  if (!pair.write(1, records) || !try_install_expecting_no_padding(pair, info)) return false;

  std::array<std::uint8_t, 64> buffer{};
  buffer.fill(kCanary);
  const auto received = await_record(syscalls, pair.socket(0), buffer);
  constexpr std::size_t kSize = kTrialPaddedText.size() + kTrialNextText.size();
  if (!received || received->type != kTrialDataType || received->size != kSize) return false;
  const auto text = std::span(buffer).first(kSize);
  return std::ranges::equal(text.first(kTrialPaddedText.size()), kTrialPaddedText) &&
         std::ranges::equal(text.subspan(kTrialPaddedText.size()), kTrialNextText) &&
         is_untouched(std::span(buffer).subspan(kTrialPaddedText.size() + kTrialPadding));
}

bool try_expect_no_padding(Syscalls& syscalls) {
  const auto info = trial_info(layout_of(Cipher::kAes128Gcm), Version::kTls13, kTrialKeyByte);
  return info && rewinds_for_control_record(syscalls, *info) &&
         rewinds_for_padded_record(syscalls, *info);
}

int try_attach(Syscalls& syscalls) {
  TrialPair pair(syscalls);
  return pair.attach(0);
}

}  // namespace

int Capability::install_error(Cipher cipher, Version version, Direction direction) const {
  return install_errno[index_of(cipher)][index_of(version)][index_of(direction)];
}

Reason Capability::reason(Cipher cipher, Version version, Direction direction) const {
  if (attach_errno != 0) return reason_of_attach(attach_errno);
  return reason_of_install(install_error(cipher, version, direction));
}

Capability probe(Syscalls& syscalls) {
  std::array<Cipher, kCipherCount> all{};
  std::ranges::transform(cipher_layouts(), all.begin(), &CipherLayout::cipher);
  return probe(all, syscalls);
}

Capability probe(std::span<const Cipher> ciphers, Syscalls& syscalls) {
  Capability capability;
  capability.attach_errno = try_attach(syscalls);
  const int untried_errno = capability.attach_errno != 0 ? capability.attach_errno : EINVAL;
  for (CipherTrials& trials : capability.install_errno) {
    for (DirectionTrials& directions : trials) directions.fill(untried_errno);
  }
  capability.payload_max_errno = capability.attach_errno;
  if (capability.attach_errno != 0) return capability;
  capability.payload_max_errno = try_payload_max(syscalls);
  for (const Cipher cipher : ciphers) {
    capability.install_errno[index_of(cipher)] = try_cipher(syscalls, layout_of(cipher));
  }
  capability.zerocopy_transmit = try_zerocopy_transmit(syscalls);
  const auto serves_tls13 = [&](Cipher cipher) {
    return capability.install_error(cipher, Version::kTls13, Direction::kTransmit) == 0;
  };
  // Any cipher will do: rekeying is the same for all (net/tls/tls_main.c, do_tls_setsockopt_conf).
  const auto usable = std::ranges::find_if(ciphers, serves_tls13);
  if (usable != ciphers.end()) capability.rekey = try_rekey(syscalls, layout_of(*usable));
  // So is padding (tls_sw.c, tls_decrypt_sw), but the known answer is of one cipher.
  if (serves_tls13(Cipher::kAes128Gcm)) {
    capability.expect_no_padding = try_expect_no_padding(syscalls);
  }
  return capability;
}

}  // namespace ktls
