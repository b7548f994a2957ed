// FileChanges: whether files are others than they were, by looking at them now and then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tools {

// By stat(2) and not by inotify(7), which follows no symbolic link: Kubernetes replaces a secret by
// pointing a link, two steps up from the file, at another directory.
class FileChanges {
 public:
  // Whoever renews several files takes some moments. More looks than this that each see something
  // new are no renewal, and are not waited out.
  static constexpr std::size_t kLooksMax = 5;

  // `paths` as they are now are what later looks compare with.
  explicit FileChanges(std::vector<std::string> paths);

  // The same, of how they are now. To be called before they are read, so that no change that comes
  // meanwhile is missed.
  void note();

  // One look. True if they are not what was noted, and as they were at the look before; then they
  // are what is noted from now on.
  [[nodiscard]] bool have_settled();

 private:
  // What tells one state of a file from another; of one that cannot be looked at, the reason.
  struct State {
    int failure = 0;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t mode = 0;  // after a change of which it may be readable
    std::int64_t size = 0;
    std::int64_t written_ns = 0;  // its content
    std::int64_t changed_ns = 0;  // its owner, for one
    bool operator==(const State&) const = default;
  };

  [[nodiscard]] static State state_of(const std::string& path);
  [[nodiscard]] std::vector<State> look() const;

  std::vector<std::string> paths_;
  std::vector<State> noted_;
  std::vector<State> seen_;  // at the last look
  std::size_t looks_ = 0;    // that have seen something else than what is noted
};

}  // namespace tools
