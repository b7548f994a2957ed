// KeylogFile: appends the secrets of connections to a file that only its owner can read.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/log.h"

namespace tools {

class KeylogFile {
 public:
  // Creates `path` with mode 0600 if it does not exist; refuses a symbolic link. Error: kSystem.
  [[nodiscard]] static ktls::Result<std::unique_ptr<KeylogFile>> open(const std::string& path);

  // Appends one line, whole or not at all from the reader's view (one write in O_APPEND mode).
  // Thread-safe. A failure is logged once, not once a connection: a full disk must not flood the
  // log, and must not end connections either.
  void append(std::string_view line, const Log& log);

 private:
  KeylogFile(std::string path, ktls::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  ktls::UniqueFd fd_;
  std::atomic<bool> has_failed_{false};
};

}  // namespace tools
