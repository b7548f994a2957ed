// JavaPeer: a peer in a process of its own, which serves all cells of a run (see JavaPeer.java).
#pragma once

#include <cstdint>
#include <string>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tests/conformance/cell.h"

namespace conformance {

// Two connections a cell: one for what is to be done and what came of it, one for TLS.
class JavaPeer {
 public:
  // Tells it the cell, and the role that is not the endpoint's. Errors: kSystem.
  [[nodiscard]] static ktls::Result<JavaPeer> start(const Cell& cell, std::uint16_t port);

  // The connection on which it speaks TLS. Once.
  [[nodiscard]] ktls::UniqueFd take_wire() { return std::move(wire_); }

  // Waits for its verdict. Error: kHandshakeFailed in its words; kEndOfStream if it says nothing.
  [[nodiscard]] ktls::Result<void> verdict();

  // Ends the waiting; from any thread.
  void cut();

 private:
  JavaPeer(ktls::UniqueFd control, ktls::UniqueFd wire)
      : control_(std::move(control)), wire_(std::move(wire)) {}

  ktls::UniqueFd control_;
  ktls::UniqueFd wire_;
};

}  // namespace conformance
