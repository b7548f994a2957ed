// SendCall: one of the system calls by which application data enters a kernel TLS socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ktls/base/result.h"
#include "tests/conformance/pattern.h"

namespace conformance {

// On a blocking socket on which TLS_TX is installed.
class SendCall {
 public:
  virtual ~SendCall() = default;

  // Sends the pattern's bytes [position, position + size), all of them. Error: kSystem.
  [[nodiscard]] virtual ktls::Result<void> send(std::uint64_t position, std::size_t size) = 0;
};

// `name`: write, sendmsg, splice, sendfile, io_uring. `total`: bytes that will be sent in all,
// which is how long the file of sendfile is. Errors: kInvalidArgument for another name, kSystem.
[[nodiscard]] ktls::Result<std::unique_ptr<SendCall>> make_send_call(std::string_view name, int fd,
                                                                     Pattern pattern,
                                                                     std::uint64_t total);

// Sends the first `total` bytes in pieces of many sizes: less than a record, exactly one, one byte
// more, several. Error: kSystem, with the position reached.
[[nodiscard]] ktls::Result<void> send_all(SendCall& call, std::uint64_t total);

}  // namespace conformance
