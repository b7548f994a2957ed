// WireRelay: the wire between the two sides of a cell. It carries bytes both ways and shows each
// of them to the oracle before anyone else sees it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tests/conformance/wire_oracle.h"

namespace conformance {

class WireRelay {
 public:
  // The other ends of these are the client's and the server's.
  WireRelay(ktls::UniqueFd client, ktls::UniqueFd server, WireOracle& oracle);

  // Until both sides have ended. Error: the oracle's first; the bytes are carried on all the same,
  // so that the two sides can say what they think of them. kSystem of the sockets.
  [[nodiscard]] ktls::Result<void> run();

  // Ends both sides; from any thread.
  void cut();

 private:
  struct Way {
    int from;
    int to;
    WireStream* stream;
    std::vector<std::uint8_t> waiting;  // [sent, size) is still to be written
    std::size_t sent = 0;
    bool ended = false;

    [[nodiscard]] bool has_waiting() const { return sent < waiting.size(); }
  };

  [[nodiscard]] ktls::Result<void> wait();
  [[nodiscard]] ktls::Result<void> take(Way& way);
  [[nodiscard]] ktls::Result<void> give(Way& way);

  ktls::UniqueFd client_;
  ktls::UniqueFd server_;
  std::array<Way, 2> ways_;
  std::optional<ktls::Error> objection_;  // the oracle's
};

}  // namespace conformance
