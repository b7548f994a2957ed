// conformance_runner: runs the cells that it is given, a line of JSON each, and answers each with a
// line of what came of it. matrix.py chooses the cells and judges.

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "ktls/core/capability.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/reason.h"
#include "tests/conformance/cell.h"
#include "tests/conformance/cell_run.h"

namespace {

constexpr int kUsageError = 2;

nlohmann::json answer(const std::string& line, conformance::Surroundings& surroundings,
                      const ktls::Capability& capability) {
  const auto text = nlohmann::json::parse(line, nullptr, false);
  if (text.is_discarded()) return {{"problems", {"not a line of JSON"}}};
  const auto cell = conformance::parse_cell(text);
  if (!cell) return {{"problems", {cell.error().message()}}};
  if (!cell->suite->bulk_cipher->kernel) {
    return {{"skipped", "no kernel cipher belongs to this suite"}};
  }
  surroundings.java_port = text.value("java_port", std::uint16_t{0});
  return conformance::run_cell(*cell, surroundings, capability);
}

// What the kernel answers to the keys of each cipher, both directions and versions alike, and the
// reason that a connection's log would have for it.
nlohmann::json ciphers_of(const ktls::Capability& capability) {
  auto found = nlohmann::json::array();
  for (const ktls::CipherLayout& layout : ktls::cipher_layouts()) {
    for (const ktls::Version version : {ktls::Version::kTls12, ktls::Version::kTls13}) {
      if (!layout.serves(version)) continue;
      for (const auto direction : {ktls::Direction::kTransmit, ktls::Direction::kReceive}) {
        const ktls::Reason reason = capability.reason(layout.cipher, version, direction);
        found.push_back({{"cipher", layout.name},
                         {"version", version == ktls::Version::kTls12 ? "TLSv1.2" : "TLSv1.3"},
                         {"direction", direction == ktls::Direction::kTransmit ? "TX" : "RX"},
                         {"errno", capability.install_error(layout.cipher, version, direction)},
                         {"reason", ktls::text_of(reason).code}});
      }
    }
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: conformance_runner CERTIFICATE KEY < CELLS\n";
    return kUsageError;
  }
  // A peer that is gone is told by EPIPE; write and sendfile have no flag for that.
  std::signal(SIGPIPE, SIG_IGN);
  conformance::Surroundings surroundings = {.certificate_file = argv[1], .key_file = argv[2]};

  const ktls::Capability capability = ktls::probe();
  std::cout << nlohmann::json{{"kernel_tls", capability.attach_errno == 0},
                              {"kernel_rekey", capability.rekey},
                              {"ciphers", ciphers_of(capability)}}
            << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(line, surroundings, capability) << std::endl;
  }
  return EXIT_SUCCESS;
}
