// Response: an answer ready to be sent: the head as it goes out, and where the body comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/http/open_file.h"

namespace http {

// `size` bytes of the file from `offset` on, behind `before`.
struct FilePiece {
  std::string before;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// The pieces in their order, and `after`. A body of text has no pieces.
struct ResponseBody {
  std::optional<OpenFile> file;
  std::vector<FilePiece> pieces;
  std::string after;
};

//   ranges      parts of a 206; 0 where all is sent
//   keep_alive  another request may follow
struct Response {
  int status = 0;
  std::string head;
  ResponseBody body;  // empty for HEAD, whatever the head says of its length
  unsigned ranges = 0;
  bool keep_alive = false;
};

}  // namespace http
