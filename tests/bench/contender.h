// Contender: one way to seal and open records of one size under one key, in batches, so that
// several ways can be measured in turns.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "tests/bench/record_cell.h"

namespace tls::bench {

// So many records of so many bytes of content are one batch.
struct Load {
  std::size_t content_size;
  std::size_t records;
};

// A batch is sealed, then the same batch is opened: sequence numbers go on in step. A contender
// that cannot do its work throws std::runtime_error, as there is nothing to measure then.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void seal_batch() = 0;
  virtual void open_batch() = 0;
};

// The record layer of this project.
[[nodiscard]] std::unique_ptr<Contender> make_bridge_contender(const RecordCell& cell,
                                                               const Load& load);

// What `openssl speed -evp CIPHER -aead` does for each record, with the same memory as the others
// use: a new nonce, 13 bytes of associated data, the content, the tag. nullptr where the cell is no
// AEAD.
[[nodiscard]] std::unique_ptr<Contender> make_evp_contender(const RecordCell& cell,
                                                            const Load& load);

// SSL_write and SSL_read of libssl over memory BIOs. nullptr where libssl has no such suite or
// version here.
[[nodiscard]] std::unique_ptr<Contender> make_libssl_contender(const RecordCell& cell,
                                                               const Load& load);

}  // namespace tls::bench
