// Finding suites, and the short lists among them.
#include "userspace/suite/cipher_suite.h"

#include <algorithm>
#include <array>

#include "userspace/suite/bulk_cipher_rows.h"
#include "userspace/suite/cipher_suite_rows.h"

namespace tls {
namespace {

using namespace rows;  // NOLINT(google-build-using-namespace): two tables and their words

// find_cipher_suite() searches by halves, and an id has one row.
static_assert(std::ranges::adjacent_find(kCipherSuites, std::ranges::greater_equal{},
                                         &CipherSuite::id) == kCipherSuites.end());

constexpr const CipherSuite* row_of(std::uint16_t id) {
  const auto* row = std::ranges::lower_bound(kCipherSuites, id, {}, &CipherSuite::id);
  return row != kCipherSuites.end() && row->id == id ? row : nullptr;
}

constexpr std::array kHandshakeSuites = {
    row_of(0x1301), row_of(0x1302), row_of(0x1303), row_of(0xC02B), row_of(0xC02C), row_of(0xC02F),
    row_of(0xC030), row_of(0xCCA8), row_of(0xCCA9), row_of(0x1304), row_of(0xC0AC),
};
constexpr std::array kHandshakeKernelCiphers = {
    ktls::Cipher::kAes128Gcm,
    ktls::Cipher::kAes256Gcm,
    ktls::Cipher::kChaCha20Poly1305,
    ktls::Cipher::kAes128Ccm,
};
static_assert(std::ranges::all_of(kHandshakeSuites, [](const CipherSuite* suite) {
  return suite != nullptr && suite->bulk_cipher->kernel.has_value() &&
         std::ranges::count(kHandshakeKernelCiphers, *suite->bulk_cipher->kernel) == 1;
}));

constexpr std::array kSsl2CipherKinds = {
    Ssl2CipherKind{0x010080, &kSsl2Suites[0]}, Ssl2CipherKind{0x020080, &kSsl2Suites[1]},
    Ssl2CipherKind{0x030080, &kSsl2Suites[2]}, Ssl2CipherKind{0x040080, &kSsl2Suites[3]},
    Ssl2CipherKind{0x050080, &kSsl2Suites[4]}, Ssl2CipherKind{0x060040, &kSsl2Suites[5]},
    Ssl2CipherKind{0x0700C0, &kSsl2Suites[6]},
};

constexpr CipherSuite kNullSuite =
    suite(0x0000, "TLS_NULL_WITH_NULL_NULL", {ProtocolVersion::kSsl2, ProtocolVersion::kTls13},
          kNull, kNoMac, kSha256);

}  // namespace

std::span<const BulkCipher> bulk_ciphers() {
  return kBulkCiphers;
}

std::span<const CipherSuite> cipher_suites() {
  return kCipherSuites;
}

const CipherSuite* find_cipher_suite(std::uint16_t id) {
  return row_of(id);
}

std::span<const Ssl2CipherKind> ssl2_cipher_kinds() {
  return kSsl2CipherKinds;
}

const Ssl2CipherKind* find_ssl2_cipher_kind(std::uint32_t id) {
  const auto* row = std::ranges::find(kSsl2CipherKinds, id, &Ssl2CipherKind::id);
  return row == kSsl2CipherKinds.end() ? nullptr : row;
}

std::span<const CipherSuite* const> handshake_suites() {
  return kHandshakeSuites;
}

std::span<const ktls::Cipher> handshake_kernel_ciphers() {
  return kHandshakeKernelCiphers;
}

const CipherSuite& null_cipher_suite() {
  return kNullSuite;
}

}  // namespace tls
