// conformance_runner: runs the cells that it is given, a line of JSON each, and answers each with a
// line of what came of it. matrix.py chooses the cells and judges.

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "ktls/core/capability.h"
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
                              {"kernel_rekey", capability.rekey}}
            << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(line, surroundings, capability) << std::endl;
  }
  return EXIT_SUCCESS;
}
