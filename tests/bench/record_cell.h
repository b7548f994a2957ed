// RecordCell: a bulk cipher with a MAC and a version, one for each way of protecting records that
// the suite table and libcrypto have here.
#pragma once

#include <string>
#include <vector>

#include "userspace/suite/cipher_suite.h"

namespace tls::bench {

//   suite  the first of the table with this cipher and MAC
struct RecordCell {
  const CipherSuite* suite;
  ProtocolVersion version;
  bool encrypt_then_mac;

  [[nodiscard]] std::string name() const;  // "AES-128-CBC SHA1 EtM"
};

// Versions that protect records alike are one: TLS 1.2 stands for 1.1 as well, where CBC's IV is
// sent; TLS 1.0 chains it; SSLv3 has another MAC.
[[nodiscard]] std::vector<RecordCell> record_cells();

}  // namespace tls::bench
