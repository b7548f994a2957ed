// Cells from the words of matrix.py.

#include "tests/conformance/cell.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <nlohmann/json.hpp>

namespace conformance {
namespace {

using tls::ProtocolVersion;

struct SuiteRow {
  ProtocolVersion version;
  std::uint16_t id;
};

// With ECDSA in TLS 1.2, where the suite also names what signs: one certificate serves all.
constexpr std::array<SuiteRow, 8> kSuites = {{
    {ProtocolVersion::kTls12, 0xC02B},
    {ProtocolVersion::kTls12, 0xC02C},
    {ProtocolVersion::kTls12, 0xC0AC},
    {ProtocolVersion::kTls12, 0xCCA9},
    {ProtocolVersion::kTls13, 0x1301},
    {ProtocolVersion::kTls13, 0x1302},
    {ProtocolVersion::kTls13, 0x1304},
    {ProtocolVersion::kTls13, 0x1303},
}};

}  // namespace

ktls::Result<Cell> parse_cell(const nlohmann::json& text) {
  const auto word = [&](const char* key) { return text.value(key, std::string()); };
  const auto* const row = std::ranges::find_if(kSuites, [&](const SuiteRow& suite) {
    return tls::name_of(suite.version) == word("version") &&
           tls::find_cipher_suite(suite.id)->bulk_cipher->name == word("cipher");
  });
  if (row == kSuites.end()) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument,
                                      "no suite of " + word("version") + " " + word("cipher")));
  }
  return Cell{.version = row->version,
              .suite = tls::find_cipher_suite(row->id),
              .role = word("role") == "client" ? tls::Role::kClient : tls::Role::kServer,
              .peer = word("peer"),
              .tx = word("tx"),
              .rx = word("rx"),
              .size = text.value("size", std::uint64_t{0})};
}

}  // namespace conformance
