// Looks at files by stat(2).

#include "tools/ktls-bridge/file_changes.h"

#include <cerrno>
#include <utility>

#include <sys/stat.h>

namespace tools {
namespace {

std::int64_t nanoseconds(const timespec& time) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

}  // namespace

FileChanges::FileChanges(std::vector<std::string> paths) : paths_(std::move(paths)) {
  note();
}

void FileChanges::note() {
  noted_ = look();
  seen_ = noted_;
  looks_ = 0;
}

bool FileChanges::have_settled() {
  std::vector<State> now = look();
  const bool is_as_before = now == seen_;
  seen_ = now;
  if (now == noted_) {
    looks_ = 0;
    return false;
  }
  if (!is_as_before && ++looks_ < kLooksMax) return false;
  noted_ = std::move(now);
  looks_ = 0;
  return true;
}

FileChanges::State FileChanges::state_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {.failure = errno};
  State state{
      .failure = 0, .device = status.st_dev, .inode = status.st_ino, .mode = status.st_mode};
  // A pipe is read once, and looks changed afterwards.
  if (S_ISREG(status.st_mode)) {
    state.size = status.st_size;
    state.written_ns = nanoseconds(status.st_mtim);
    state.changed_ns = nanoseconds(status.st_ctim);
  }
  return state;
}

std::vector<FileChanges::State> FileChanges::look() const {
  std::vector<State> states;
  states.reserve(paths_.size());
  for (const std::string& path : paths_) states.push_back(state_of(path));
  return states;
}

}  // namespace tools
