// What `run` tells the library that it loads into a program, and where that is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ktls/base/result.h"

namespace tools {

//   library  its path
//   listen   ports where the program is a TLS server
//   connect  patterns of destinations where it is a TLS client
//   channel  the descriptor that leads to the broker
struct Preload {
  std::string library;
  std::vector<std::uint16_t> listen;
  std::vector<std::string> connect;
  int channel;
};

// The environment `own`, "NAME=VALUE" each, with what the library is told, and without what another
// `run` around this one has told its own. KTLS_BRIDGE_BROKER is left out: where the private broker
// is gone no other one is to take its place.
[[nodiscard]] std::vector<std::string> run_environment(const std::vector<std::string>& own,
                                                       const Preload& preload);
// Of this process.
[[nodiscard]] std::vector<std::string> own_environment();

// Where the library can be, from the directory of this program: where it is built, and where it is
// installed.
[[nodiscard]] std::vector<std::string> preload_places(const std::string& program_directory);
// The first of `places` that is there. Error: kUnsupported naming all of them, or a path that
// LD_PRELOAD cannot hold.
[[nodiscard]] ktls::Result<std::string> find_preload(const std::vector<std::string>& places);
// Where this program is. Error: kSystem.
[[nodiscard]] ktls::Result<std::string> program_directory();

}  // namespace tools
