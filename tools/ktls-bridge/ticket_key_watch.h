// TicketKeyWatch: a thread that looks at the files of --ticket-keys once a second.
#pragma once

#include <thread>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/ktls-bridge/ticket_key_files.h"

namespace tools {

// A thread of its own, since reading a file may take a while, and each subcommand has another way
// of waiting. None where there are no files.
class TicketKeyWatch {
 public:
  // `files` is borrowed.
  explicit TicketKeyWatch(TicketKeyFiles& files) : files_(files) {}
  TicketKeyWatch(const TicketKeyWatch&) = delete;
  TicketKeyWatch& operator=(const TicketKeyWatch&) = delete;
  ~TicketKeyWatch();

  // At most once. Error: kSystem.
  [[nodiscard]] ktls::Result<void> start();

 private:
  void watch() const;

  TicketKeyFiles& files_;
  ktls::UniqueFd ended_;  // eventfd
  std::thread thread_;
};

}  // namespace tools
