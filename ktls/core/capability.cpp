// probe(): one trial a cipher, version and direction, each on sockets that nothing was tried on.
#include "ktls/core/capability.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "ktls/core/socket.h"

namespace ktls {
namespace {

constexpr std::array kVersions{Version::kTls12, Version::kTls13};
constexpr std::size_t kReceiveIndex = 0;
constexpr std::size_t kTransmitIndex = 1;

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

 private:
  Syscalls& syscalls_;
  int fds_[2] = {-1, -1};
  int errno_ = 0;
};

// Keys that protect nothing: the sockets are closed before a byte is sent. `fill` tells the keys
// of a rekey from the first ones.
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
  const auto info = trial_info(layout, version, 0x11);
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
  const auto first = trial_info(layout, Version::kTls13, 0x11);
  const auto second = trial_info(layout, Version::kTls13, 0x22);
  if (!first || !second) return false;
  TrialPair pair(syscalls);
  if (try_install(pair, 0, Direction::kTransmit, *first) != 0) return false;
  return pair.socket(0).install(Direction::kTransmit, *second).has_value();
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
  if (capability.attach_errno != 0) return capability;
  for (const Cipher cipher : ciphers) {
    capability.install_errno[index_of(cipher)] = try_cipher(syscalls, layout_of(cipher));
  }
  // Any cipher will do: the kernel rekeys all of them or none (net/tls/tls_main.c,
  // do_tls_setsockopt_conf).
  const auto usable = std::ranges::find_if(ciphers, [&](Cipher cipher) {
    return capability.install_error(cipher, Version::kTls13, Direction::kTransmit) == 0;
  });
  capability.rekey = usable != ciphers.end() && try_rekey(syscalls, layout_of(*usable));
  return capability;
}

}  // namespace ktls
