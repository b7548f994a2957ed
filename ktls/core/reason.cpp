// The table of reasons, and what each errno of the kernel's TLS calls stands for.
#include "ktls/core/reason.h"

#include <array>
#include <cerrno>

namespace ktls {
namespace {

constexpr std::size_t kReasonCount = static_cast<std::size_t>(Reason::kSecretsLost) + 1;

constexpr std::array<ReasonText, kReasonCount> kTexts{{
    {Reason::kNone, "none", "the kernel encrypts or decrypts this direction", "nothing to do"},
    {Reason::kPolicyNever, "policy_never", "the policy keeps this direction in userspace",
     "choose another --offload than never"},
    {Reason::kUlpUnavailable, "ulp_unavailable",
     "the kernel offers no TLS: its module is not loaded, not built or blacklisted",
     "run `modprobe tls` as root, and write `tls` into /etc/modules-load.d/tls.conf to have it at "
     "every boot; if modprobe finds no module, this kernel was built without CONFIG_TLS"},
    {Reason::kUlpRefused, "ulp_refused", "the kernel refused to attach TLS to the socket",
     "EPERM or EACCES: let setsockopt(SOL_TCP, TCP_ULP) through in the seccomp profile or security "
     "module of this container or service; EMFILE or ENFILE: raise its limit of open files; "
     "EINVAL: take the socket out of the BPF sockmap, or drop its PSP keys"},
    {Reason::kOtherUlp, "other_ulp", "the socket carries another upper-layer protocol than TLS",
     "none on this socket, one protocol is all it can carry; let the bridge have it before the "
     "program (espintcp, smc) attaches its own"},
    {Reason::kNotTcp, "not_tcp", "the socket is not plain TCP, on which alone the kernel does TLS",
     "connect by TCP; for an MPTCP socket ask for IPPROTO_TCP instead of IPPROTO_MPTCP"},
    {Reason::kNotEstablished, "not_established",
     "the connection was not established any more when the keys were ready",
     "none needed: the peer had sent all and closed already; if it is frequent, see why peers "
     "close right after the handshake"},
    {Reason::kVersionNotInKernel, "version_not_in_kernel",
     "the kernel does TLS 1.2 and 1.3 only, and this connection speaks an older version",
     "enable TLS 1.2 or 1.3 on the peer; no kernel will do older versions"},
    {Reason::kCipherNotInKernel, "cipher_not_in_kernel",
     "the kernel has no number for the negotiated cipher",
     "prefer AES-GCM or ChaCha20-Poly1305 in the cipher list of either side"},
    {Reason::kCipherModuleMissing, "cipher_module_missing",
     "the kernel's crypto API has no such AEAD",
     "load the module that has it (`modprobe gcm`, `modprobe ccm`, `modprobe chacha20poly1305`) "
     "and "
     "list it in /etc/modules-load.d; in FIPS mode ChaCha20-Poly1305 is not to be had: prefer "
     "AES-GCM"},
    {Reason::kInstallRefused, "install_refused", "the kernel refused the keys of this direction",
     "EINVAL: this kernel is older than the cipher or the version, update it; EPERM or EACCES: let "
     "setsockopt(SOL_TLS) through in the seccomp profile; ENOMEM: raise the memory limit; EMFILE "
     "or ENFILE: raise the limit of open files"},
    {Reason::kRekeyImpossible, "rekey_impossible",
     "the key of this direction cannot be changed in the kernel, as KeyUpdate demands",
     "kernels before 6.14 take a key once: update the kernel, keep the direction in userspace with "
     "--offload never, cap the version with --max-version 1.2, or turn KeyUpdate off in the peer"},
    {Reason::kSequenceUnknown, "sequence_unknown",
     "the number of records that the handshake used is in doubt, and a wrong one breaks the "
     "connection",
     "none by the operator: report it with the versions of the peer and of libssl"},
    {Reason::kPipeLimit, "pipe_limit",
     "no pipe large enough could be had, so the bytes are read and written instead of spliced",
     "raise /proc/sys/fs/pipe-user-pages-soft, or the limit of open files"},
    {Reason::kRecordSizeLimited, "record_size_limited",
     "the peer asked for smaller records than the kernel makes",
     "update to a kernel of 6.19 or later; older ones know no other size than 16384 bytes, and the "
     "peer's record_size_limit or max_fragment_length asks for less"},
    {Reason::kKeyBudgetSpent, "key_budget_spent",
     "the key sealed as many records as its cipher allows, and this kernel cannot change it",
     "reconnect; to have keys changed in time use Linux 6.14 or later, or --offload never, and "
     "TLS 1.3"},
    {Reason::kKeyMissing, "key_missing",
     "the kernel waits for the peer's next key, and the KeyUpdate that announced it went elsewhere",
     "let nobody else read from the socket: a program that shares it took the record away"},
    {Reason::kKeyUpdateFlood, "key_update_flood", "the peer changed its key too often",
     "see why the peer sends so many KeyUpdates, or allow more of them with --key-updates"},
    {Reason::kHoldersHidden, "holders_hidden",
     "the broker may not look at the program, and so could not change the key of its socket",
     "run the broker as root or as the user of the program, in its network namespace"},
    {Reason::kSecretsLost, "secrets_lost",
     "the key had to be changed, and the broker that made the connection is gone",
     "the program connects again; nothing else helps a connection that outlives its broker"},
}};

constexpr std::array<std::string_view, 3> kPlacementNames{"userspace", "kernel", "nic"};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    if (static_cast<std::size_t>(kTexts[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

std::string_view name_of(Placement placement) {
  return kPlacementNames.at(static_cast<std::size_t>(placement));
}

std::span<const ReasonText> reason_texts() {
  return kTexts;
}

const ReasonText& text_of(Reason reason) {
  return kTexts.at(static_cast<std::size_t>(reason));
}

Reason reason_of_attach(int sys_errno) {
  switch (sys_errno) {
    case 0:
      return Reason::kNone;
    case ENOENT:  // net/ipv4/tcp_ulp.c, tcp_set_ulp: no such protocol, and none was autoloaded
      return Reason::kUlpUnavailable;
    case EEXIST:  // __tcp_set_ulp: one is attached; TlsSocket::attach() has seen that it is not tls
      return Reason::kOtherUlp;
    case ENOTCONN:  // net/tls/tls_main.c, tls_init: not ESTABLISHED
      return Reason::kNotEstablished;
    case ENOPROTOOPT:  // UDP, MPTCP
    case EOPNOTSUPP:   // Unix sockets
    case ENOTSOCK:
      return Reason::kNotTcp;
    default:
      return Reason::kUlpRefused;
  }
}

Reason reason_of_install(int sys_errno) {
  switch (sys_errno) {
    case 0:
      return Reason::kNone;
    case ENOENT:  // crypto_alloc_aead
      return Reason::kCipherModuleMissing;
    case EBUSY:  // do_tls_setsockopt_conf: keys are there, and cannot be changed
      return Reason::kRekeyImpossible;
    default:
      return Reason::kInstallRefused;
  }
}

}  // namespace ktls
