// AccessLog: appends whole lines to a file, from a thread of its own, so that no connection ever
// waits for the disk.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace http {

struct AccessLogLimits {
  std::chrono::milliseconds delay_max{1000};  // a line is written so soon
  std::size_t batch_bytes = 65'536;           // or when so much waits
  // What a disk that is full or slow may keep waiting: some 40,000 lines. What comes beyond is
  // lost, since the memory of the server is worth more.
  std::size_t waiting_bytes_max = std::size_t{8} << 20U;
};

class AccessLog {
 public:
  // Told from the thread of the log, once for each run of trouble: a failed write or reopening,
  // or the first line lost. A write that succeeds ends the run.
  using OnTrouble = std::function<void(const ktls::Error&)>;

  // `path` is created with mode 0640, or "-" for standard output. A FIFO needs a reader.
  // Error: kSystem naming the path.
  [[nodiscard]] static ktls::Result<std::unique_ptr<AccessLog>> open(const std::string& path,
                                                                     OnTrouble on_trouble,
                                                                     AccessLogLimits limits = {});
  // The thread that writes, which has what this one has of rights: so it is made when those are
  // what they are to be. Lines wait for it; reopen() and flush() do nothing before. Error: kSystem.
  [[nodiscard]] ktls::Result<void> start();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  // Writes what waits, if it can be written now.
  ~AccessLog();

  // `line` without its end. Thread-safe, and never waits for the disk. What a write leaves undone
  // is tried again, so that lines stay whole and in order also over a full disk.
  void append(std::string_view line);

  // For the rotation of logs: everything appended before goes to the present file, and what comes
  // after soon to the one that then has the path's name; for certain once flush() returns.
  // Returns at once; not for signal handlers. If there is no opening it, the present file is kept.
  void reopen();

  // Waits until one attempt was made to write everything that was appended before, and to reopen.
  void flush();

  [[nodiscard]] std::uint64_t lines_lost() const { return lines_lost_; }

 private:
  AccessLog(std::string path, ktls::UniqueFd fd, OnTrouble on_trouble, AccessLogLimits limits);
  void write_until_stopped();
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void write_round(bool reopening);
  [[nodiscard]] ktls::Result<void> write_undone();
  void forget_whole_lines();
  void note_outcome(const ktls::Result<void>& outcome);

  const std::string path_;
  const OnTrouble on_trouble_;
  const AccessLogLimits limits_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable finished_;
  std::string waiting_;             // whole lines
  std::size_t undone_bytes_ = 0;    // what the thread holds
  std::uint64_t rounds_asked_ = 0;  // by flush
  std::uint64_t rounds_made_ = 0;
  bool reopening_ = false;
  bool stopping_ = false;
  std::atomic<std::uint64_t> lines_lost_{0};

  // The thread's own.
  ktls::UniqueFd fd_;
  std::string undone_;             // begins with the beginning of a line,
  std::size_t undone_offset_ = 0;  // of which so much is in the file already
  std::uint64_t lines_lost_told_ = 0;
  bool in_trouble_ = false;
  std::thread thread_;
};

}  // namespace http
