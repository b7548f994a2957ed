// SSLv3 to TLS 1.3: every suite of the table, under strict and under open rules.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/input.h"
#include "tests/fuzz/record_session.h"

namespace tls::fuzz {
namespace {

constexpr std::array kVersions = {ProtocolVersion::kTls12, ProtocolVersion::kTls13,
                                  ProtocolVersion::kTls11, ProtocolVersion::kTls10,
                                  ProtocolVersion::kSsl3};
constexpr std::array<std::uint16_t, 8> kWireVersions = {0x0303, 0x0301, 0x0304, 0x0302,
                                                        0x0300, 0x0002, 0x0200, 0x0404};

Epoch draw_epoch(Input& input) {
  Epoch epoch;
  epoch.version = input.one_of(std::span<const ProtocolVersion>(kVersions));
  // From the drawn row on, the next that serves the version; now and then one that does not.
  const auto suites = cipher_suites();
  const std::size_t first = input.below(suites.size());
  const std::uint8_t flags = input.byte();
  epoch.suite = &suites[first];
  for (std::size_t i = 0; (flags & 0xf0U) != 0 && i < suites.size(); ++i) {
    epoch.suite = &suites[(first + i) % suites.size()];
    if (epoch.suite->serves(epoch.version)) break;
  }
  epoch.encrypt_then_mac = (flags & 1U) != 0;
  if ((flags & 2U) != 0) epoch.sequence = UINT64_MAX - input.below(8);  // near the end
  if ((flags & 4U) != 0) epoch.sequence = input.number(8);
  return epoch;
}

}  // namespace
}  // namespace tls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tls::fuzz::Input input({data, size});
  const tls::RecordRules rules = input.flag() ? tls::kOpenRules : tls::kStrictRules;
  tls::fuzz::RecordSession({rules, tls::fuzz::kWireVersions, tls::fuzz::draw_epoch}, input).run();
  return 0;
}
