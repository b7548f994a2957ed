// ResponseSender: sends HTTP responses over a TLS connection: few large records, files by sendfile
// where the kernel encrypts, and never the rest of another file than the one that was announced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ktls/base/result.h"
#include "tools/http/kept_responses.h"
#include "tools/http/response.h"
#include "tools/ktls-bridge/client_pace.h"
#include "tools/ktls-bridge/phase.h"
#include "userspace/bridge/connection.h"
#include "userspace/bridge/fixed_files.h"
#include "userspace/io/buffer.h"
#include "userspace/io/loop.h"
#include "userspace/io/task.h"

namespace tools {

// Borrows everything; one response at a time. A client that does not keep pace ends it with
// kTimeout.
class ResponseSender {
 public:
  // `told`: of the files, as their owner says; where that is kMayChange, `fixed` is asked of large
  // ones.
  ResponseSender(bridge::Loop& loop, Cancellation& cancellation, bridge::Connection& connection,
                 const SendPace& pace, bridge::Content told, bridge::FixedFiles& fixed);

  // Sends head and body. Size, mtime and ctime of the file are compared once more when its last
  // byte has been read, and before that byte is sent. Errors: those of the sender and of the phase;
  // kEndOfStream with the alert internal_error where the file has changed or cannot be read: what
  // went out must not pass for the whole.
  [[nodiscard]] bridge::Task<ktls::Result<void>> send(const http::Response& response);

  // Sends a response that is complete; it stays as it is for so long.
  [[nodiscard]] bridge::Task<ktls::Result<void>> send(const http::KeptResponse& response);

  // For whoever waits until the client has it all.
  [[nodiscard]] ClientPace& pace() { return pace_; }

  // Of the body, for the last response: bytes that were given to the transport.
  [[nodiscard]] std::uint64_t body_sent() const {
    return sent_ > head_size_ ? sent_ - head_size_ : 0;
  }
  // Of all responses, heads too.
  [[nodiscard]] std::uint64_t total() const { return total_ + sent_; }

 private:
  [[nodiscard]] bridge::Task<ktls::Result<void>> send_piece(const http::ResponseBody& body,
                                                            const http::FilePiece& piece,
                                                            bool is_last);
  [[nodiscard]] bridge::Task<ktls::Result<void>> send_range(const http::OpenFile& file,
                                                            std::uint64_t offset,
                                                            std::uint64_t size);
  // What is held back, and nothing more of it.
  [[nodiscard]] bridge::Task<ktls::Result<void>> flush(ktls::More more);
  // Has a buffer for `size` bytes more, at most kHeldMax; sends what is held if it has to.
  [[nodiscard]] bridge::Task<ktls::Result<void>> make_room(std::size_t size);
  // Puts text behind what is held back.
  [[nodiscard]] bridge::Task<ktls::Result<void>> hold(std::string_view text);
  // Puts part of a file behind what is held back; there is room for it.
  [[nodiscard]] bridge::Task<ktls::Result<void>> read(const http::OpenFile& file,
                                                      std::uint64_t offset, std::size_t size);
  // The same by a system call, which waits for the disk.
  [[nodiscard]] ktls::Result<void> read_now(const http::OpenFile& file, std::uint64_t offset,
                                            std::size_t size);
  // Of a file from `offset` on, all but the part that is held until it was looked at again; answers
  // the size of that part. Where records are sealed in userspace, and where the kernel takes pages.
  [[nodiscard]] bridge::Task<ktls::Result<std::uint64_t>> send_copies(const http::OpenFile& file,
                                                                      std::uint64_t offset,
                                                                      std::uint64_t left,
                                                                      bool is_last);
  [[nodiscard]] bridge::Task<ktls::Result<std::uint64_t>> send_pages(const http::OpenFile& file,
                                                                     std::uint64_t offset,
                                                                     std::uint64_t left,
                                                                     bool is_last);
  // Whether a card that encrypts may take pages of the file as they are.
  [[nodiscard]] bridge::Content content_of(const http::OpenFile& file) const;
  // How much of a file goes into the record that is begun.
  [[nodiscard]] std::uint64_t first_of(std::uint64_t offset) const;
  // Of so much that is still to come, the part that is held until the file was looked at again.
  [[nodiscard]] std::uint64_t tail_of(std::uint64_t left) const;

  bridge::Loop& loop_;
  Cancellation& cancellation_;
  bridge::Connection& connection_;
  ClientPace pace_;
  bridge::Content told_;
  bridge::FixedFiles& fixed_;
  bridge::Content content_;      // of the present file
  bridge::Buffer held_;          // to go out in one piece with what follows
  std::uint64_t head_size_ = 0;  // of the present response
  std::uint64_t sent_ = 0;       // of it, head included
  std::uint64_t total_ = 0;      // of those before
};

}  // namespace tools
