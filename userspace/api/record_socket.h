// RecordSocket: a Layer over a descriptor, blocking or not, which never reads past a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/api/layer.h"

namespace api {

// Borrows both.
class RecordSocket {
 public:
  RecordSocket(int fd, Layer& layer) : fd_(fd), layer_(layer) {}

  // False: the descriptor takes no more now; what is left goes out by flush(). Errors: kSystem,
  // those of RecordLayer::seal, and kProtocolViolation while something is left.
  [[nodiscard]] ktls::Result<bool> send(tls::ContentType type, Bytes content);
  [[nodiscard]] ktls::Result<bool> flush();

  // NeedBytes: nothing can be read now. Errors: kSystem, and those of Layer::next().
  [[nodiscard]] ktls::Result<tls::NextRecord> receive();

 private:
  int fd_;
  Layer& layer_;
  std::vector<std::uint8_t> unsent_;
  std::size_t sent_ = 0;  // of it
  std::vector<std::uint8_t> received_;
};

}  // namespace api
