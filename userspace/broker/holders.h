// Holders: the processes that hold a socket besides this one, and how they are made to stand still.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace broker {

// The kernel tells nobody how many descriptors of a file there are, so they are looked for in
// /proc. Processes whose descriptors may not be read, those of other users, are not found: a socket
// is handed out to a program that runs as the same user, or by root.
class Holders {
 public:
  // Borrows `fd`, a socket. `group`: the process group that the program was started as, of which
  // its children are members unless they leave it. `user`: the only one whose processes are stopped
  // for it, unless that is root; none: any.
  Holders(int fd, pid_t group, std::optional<uid_t> user = std::nullopt);
  ~Holders();
  Holders(const Holders&) = delete;
  Holders& operator=(const Holders&) = delete;

  // Whether anybody of the group holds the socket. One system call where the group is empty.
  [[nodiscard]] bool any_in_group() const;

  // One step on the way to a standstill: stops each holder that was not found before (SIGSTOP).
  // True as soon as none was new and every thread of all has stopped, so that none of them is
  // within a system call, either; to be asked again until then. Errors: kRekeyImpossible where a
  // holder is another user's, or is being traced, for whoever traces it may have it go on; kSystem
  // of /proc.
  [[nodiscard]] ktls::Result<bool> stop();
  // Whether there is anybody whom stop() found.
  [[nodiscard]] bool any_stopped() const { return !stopped_.empty(); }
  // Has those go on (SIGCONT) that stop() stopped. Who stood still before stays so.
  void resume();
  // What all Holders of this process have stopped, from any thread: for a program that exits
  // without destroying them, which would leave others stopped for ever.
  static void resume_all();

 private:
  struct Stopped {
    pid_t pid;
    ktls::UniqueFd process;  // a pidfd, so that no other process gets the signal
    bool by_us;
  };

  [[nodiscard]] ktls::Result<bool> stop_process(pid_t pid);
  [[nodiscard]] bool may_stop(pid_t pid) const;
  void resume_locked();

  int fd_;
  pid_t group_;
  std::optional<uid_t> user_;
  std::vector<Stopped> stopped_;
};

// Of the sockets with those inodes, those that a process but this one has, or may have: one of its
// descendants that hides what it has. All where nothing can be seen. As far as processes may be
// looked at: what is on its way to this process does not count.
[[nodiscard]] std::set<std::uint64_t> held_among(std::set<std::uint64_t> inodes);
// On their way between processes (SCM_RIGHTS), which may be of anything. Costs more.
[[nodiscard]] std::size_t descriptors_in_flight();

// A descriptor of the socket with that inode, from any process that has it (pidfd_getfd); none
// where no process that has it may be looked at.
[[nodiscard]] ktls::UniqueFd borrow_socket(std::uint64_t inode);

}  // namespace broker
