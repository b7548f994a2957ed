// The cells, found by walking the suite table.
#include "tests/bench/record_cell.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "userspace/crypto/evp_cipher.h"

namespace tls::bench {
namespace {

constexpr std::array kVersions = {ProtocolVersion::kTls13, ProtocolVersion::kTls12,
                                  ProtocolVersion::kTls10, ProtocolVersion::kSsl3,
                                  ProtocolVersion::kSsl2};

// The versions in which records of this kind differ from those of a later version.
bool differs_in(ProtectionKind kind, ProtocolVersion version) {
  if (version == ProtocolVersion::kTls10) return kind == ProtectionKind::kCbc;
  return true;
}

auto key_of(const RecordCell& cell) {
  return std::tuple(cell.suite->bulk_cipher, cell.suite->mac, cell.version, cell.encrypt_then_mac);
}

void add(std::vector<RecordCell>& cells, const RecordCell& cell) {
  if (std::ranges::find(cells, key_of(cell), key_of) == cells.end()) cells.push_back(cell);
}

void add_all(std::vector<RecordCell>& cells, const CipherSuite& suite) {
  if (!check_available(suite)) return;
  const ProtectionKind kind = suite.bulk_cipher->kind;
  for (const ProtocolVersion version : kVersions) {
    if (!suite.serves(version) || !differs_in(kind, version)) continue;
    add(cells, {&suite, version, false});
    if (kind == ProtectionKind::kCbc && version == ProtocolVersion::kTls12) {
      add(cells, {&suite, version, true});
    }
  }
}

}  // namespace

std::string RecordCell::name() const {
  std::string name(suite->bulk_cipher->name);
  if (suite->mac) name.append(" ").append(name_of(*suite->mac));
  if (encrypt_then_mac) name.append(" EtM");
  return name;
}

std::vector<RecordCell> record_cells() {
  std::vector<RecordCell> cells;
  for (const CipherSuite& suite : cipher_suites()) add_all(cells, suite);
  for (const Ssl2CipherKind& kind : ssl2_cipher_kinds()) add_all(cells, *kind.suite);
  const auto by_kind = [](const RecordCell& cell) {
    // AEADs first, then by their place in the table of ciphers.
    const BulkCipher* cipher = cell.suite->bulk_cipher;
    return std::tuple(cipher->kind != ProtectionKind::kAead, cipher, cell.suite->mac, cell.version,
                      cell.encrypt_then_mac);
  };
  std::ranges::sort(cells, {}, by_kind);
  return cells;
}

}  // namespace tls::bench
