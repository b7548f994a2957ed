// Supervisor: whoever has started this process and wants to hear how it is: systemd and those that
// speak like it (sd_notify(3)), s6 and those that read from a descriptor.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/supervision/notify_socket.h"

namespace tools {

// On one thread. Where nobody wants to hear, nothing is said.
class Supervisor {
 public:
  // What could not be said, or heard; nobody is to end for it.
  using OnFault = std::function<void(const ktls::Error&)>;

  // By NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are taken out of the environment: what
  // a program of ours said would be taken for our word. Called before there is a second thread.
  explicit Supervisor(OnFault on_fault);

  // Of --ready-fd: from here on the descriptor is ours. Error: it is not open for writing, or not
  // inherited.
  [[nodiscard]] ktls::Result<void> take_ready_descriptor(int fd);

  // How long a ping may take before this process counts as stuck; none: nobody looks.
  [[nodiscard]] const std::optional<std::chrono::microseconds>& watchdog() const {
    return watchdog_;
  }
  // Several in the time of watchdog(), so that one that comes late is not the end.
  [[nodiscard]] std::chrono::microseconds ping_interval() const;

  // `status` is for people, one line.
  void ready(const std::string& status);
  void reloading();
  // `wait`: how long what goes on may take yet.
  void stopping(const std::string& status, std::chrono::milliseconds wait);
  void ping();

 private:
  void open_notify_socket();
  void take_watchdog();
  void tell(const std::string& message);
  void tell_descriptor();

  OnFault on_fault_;
  std::optional<NotifySocket> notify_;
  std::optional<std::chrono::microseconds> watchdog_;
  ktls::UniqueFd ready_fd_;  // until it was written to
  bool is_faulty_ = false;   // said once for each time that nobody hears
};

}  // namespace tools
