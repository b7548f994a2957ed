// SSLv2: its two headers, padding and escape, every cipher kind, and numbers that run on from the
// clear; and what TLS records do in between.
#include <array>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/input.h"
#include "tests/fuzz/record_session.h"

namespace tls::fuzz {
namespace {

constexpr std::array<std::uint16_t, 3> kWireVersions = {0x0002, 0x0200, 0x0301};

Epoch draw_epoch(Input& input) {
  Epoch epoch;
  epoch.version = ProtocolVersion::kSsl2;
  epoch.suite = input.one_of(ssl2_cipher_kinds()).suite;
  const std::uint8_t flags = input.byte();
  // A hello of SSLv2 may be followed by a connection of TLS.
  if ((flags & 0xf0U) == 0xf0U) {
    epoch.version = ProtocolVersion::kTls10;
    epoch.suite = &cipher_suites()[input.below(cipher_suites().size())];
  }
  if ((flags & 2U) != 0) epoch.sequence = UINT32_MAX - input.below(8);  // where SSLv2's wraps
  if ((flags & 4U) != 0) epoch.sequence = UINT64_MAX - input.below(8);
  return epoch;
}

}  // namespace
}  // namespace tls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tls::fuzz::Input input({data, size});
  tls::RecordRules rules = tls::kOpenRules;
  if (input.byte() == 0xff) rules = tls::kStrictRules;
  tls::fuzz::RecordSession({rules, tls::fuzz::kWireVersions, tls::fuzz::draw_epoch}, input).run();
  return 0;
}
