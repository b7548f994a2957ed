// Opens records of a MAC-then-encrypt suite under valgrind: good ones, and every kind that is not.
//
//   cbc_open VERSION SUITE   of one version (0x0301) and suite (0x002F)
//   cbc_open leak-branch     the controls: what valgrind has to report
//   cbc_open leak-index
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include <valgrind/memcheck.h>

#include "userspace/crypto/cbc_cipher.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/constant_time.h"
#include "userspace/suite/cipher_suite.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kContentSize = 300;
constexpr int kMisused = 2;

Bytes counted(std::size_t size, std::uint8_t first) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + 7 * i);
  return bytes;
}

[[noreturn]] void stop(std::string_view why) {
  std::fprintf(stderr, "cbc_open: %.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(kMisused);
}

class Checked {
 public:
  Checked(tls::ProtocolVersion version, const tls::CipherSuite& suite)
      : version_(version),
        suite_(suite),
        cipher_(tls::CbcCipher::create(*suite.bulk_cipher, key()).value()) {}

  void run() {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kContentSize}) good(size);
    const std::size_t block_size = suite_.bulk_cipher->block_size;
    const std::size_t size = (kContentSize + 256) / block_size * block_size;
    for (const std::size_t padding : {0, 1, 7, 15, 100, 255}) {
      // Padding that is right, without a MAC that is; then wrong in its first and its last byte.
      Bytes decrypted = counted(size, 1);
      std::fill_n(decrypted.rbegin(), padding + 1, static_cast<std::uint8_t>(padding));
      bad(decrypted);
      decrypted[size - 1 - padding] ^= 1;
      bad(decrypted);
      decrypted[size - 1] ^= 0x80;
      bad(decrypted);
    }
    // The shortest that can hold a MAC, all of its bytes padding.
    bad(Bytes(
        (size_of(*suite_.mac) / block_size + 2 + explicit_iv_size() / block_size) * block_size,
        0xff));
  }

 private:
  [[nodiscard]] Bytes key() const { return counted(suite_.bulk_cipher->key_size, 3); }
  [[nodiscard]] Bytes iv() const { return counted(suite_.bulk_cipher->iv_size, 5); }
  [[nodiscard]] std::size_t explicit_iv_size() const {
    return version_ >= tls::ProtocolVersion::kTls11 ? suite_.bulk_cipher->block_size : 0;
  }

  [[nodiscard]] tls::ConnectionState state() const {
    tls::TrafficKeys keys{.key = tls::WriteKey(key()),
                          .iv = tls::WriteIv(iv()),
                          .mac_key = tls::MacKey(counted(size_of(*suite_.mac), 9))};
    const Bytes block = counted(suite_.bulk_cipher->block_size, 11);
    auto made =
        tls::ConnectionState::create(version_, suite_, std::move(keys), {.fixed_iv_block = block});
    if (!made) stop(made.error().detail);
    return *std::move(made);
  }

  void good(std::size_t content_size) const {
    tls::ConnectionState writer = state();
    const Bytes content = counted(content_size, 42);
    Bytes wire(writer.sealed_size(content_size));
    const auto type = tls::ContentType::kApplicationData;
    if (!writer.seal({type, content}, wire)) stop("a record was not sealed");
    const auto header = tls::decode_record_header(std::span(wire).first<tls::kRecordHeaderSize>());
    auto opened = state().open(header, std::span(wire).subspan(tls::kRecordHeaderSize));
    if (!opened) stop("a good record did not open");
    std::uint8_t undefined = 0;
    const bool is_watched =
        content.empty() || RUNNING_ON_VALGRIND == 0 ||
        (VALGRIND_GET_VBITS(opened->content.data(), &undefined, 1) == 1 && undefined == 0xff);
    if (!is_watched) stop("what was decrypted is no secret to valgrind");
    // The content is the caller's now, who may look at it.
    static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(opened->content.data(), opened->content.size()));
    if (!std::ranges::equal(opened->content, content)) stop("a record opened to something else");
  }

  void bad(Bytes decrypted) {
    if (!cipher_.encrypt(iv(), decrypted, decrypted)) stop("a record was not encrypted");
    const auto opened = state().open({.type = tls::ContentType::kApplicationData,
                                      .version = static_cast<std::uint16_t>(version_),
                                      .body_size = decrypted.size()},
                                     decrypted);
    if (opened || opened.error().code != ktls::ErrorCode::kBadRecordMac) {
      stop("a bad record was not refused as one");
    }
  }

  tls::ProtocolVersion version_;
  const tls::CipherSuite& suite_;
  tls::CbcCipher cipher_;
};

// What the check has to find, or it finds nothing: a comparison that stops at the first difference,
// and a table that a secret is an index into.
[[gnu::noinline]] bool leaks_by_branch(std::span<const std::uint8_t> a,
                                       std::span<const std::uint8_t> b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) return false;
  }
  return true;
}

[[gnu::noinline]] std::uint8_t leaks_by_index(std::span<const std::uint8_t> table,
                                              std::span<const std::uint8_t> secret) {
  std::uint8_t sum = 0;
  for (const std::uint8_t byte : secret) sum = static_cast<std::uint8_t>(sum + table[byte]);
  return sum;
}

int leak(std::string_view kind) {
  const Bytes secret = counted(16, 1);
  const Bytes table = counted(256, 2);
  tls::constant_time::classify(secret);
  [[maybe_unused]] volatile bool kept = false;
  if (kind == "leak-branch") kept = leaks_by_branch(secret, table);
  if (kind == "leak-index") kept = leaks_by_index(table, secret) == 0;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  if (argc == 2) return leak(arguments[1]);
  if (argc != 3) stop("usage: cbc_open VERSION SUITE | cbc_open leak-branch | cbc_open leak-index");
  const auto version = static_cast<tls::ProtocolVersion>(std::strtoul(arguments[1], nullptr, 16));
  const auto id = static_cast<std::uint16_t>(std::strtoul(arguments[2], nullptr, 16));
  const tls::CipherSuite* const suite = tls::find_cipher_suite(id);
  if (suite == nullptr || suite->bulk_cipher->kind != tls::ProtectionKind::kCbc) {
    stop("no such CBC suite");
  }
  Checked(version, *suite).run();
  return 0;
}
