// Reading /proc: who holds a socket, and who of them has stopped.

#include "userspace/broker/holders.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace broker {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

// proc(5): numbers are processes in /proc, threads in task, and descriptors in fd.
std::optional<int> number_of(const dirent& entry) {
  const std::string_view name = static_cast<const char*>(entry.d_name);
  int number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

Folder open_folder(const std::string& path) {
  return Folder(::opendir(path.c_str()));
}

// "socket:[12345]", as a link of /proc/PID/fd names a socket.
constexpr std::string_view kSocketLink = "socket:[";
std::string link_of_inode(std::uint64_t inode) {
  return std::string(kSocketLink) + std::to_string(inode) + "]";
}

std::string link_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return {};
  return link_of_inode(status.st_ino);
}

// What an entry of /proc/PID/fd leads to; cut off where that is long, as it is not for a socket.
std::string link_in(DIR* folder, const dirent& entry) {
  std::array<char, 64> link{};
  const ssize_t size = ::readlinkat(::dirfd(folder), static_cast<const char*>(entry.d_name),
                                    link.data(), link.size());
  return size > 0 ? std::string(link.data(), static_cast<std::size_t>(size)) : std::string();
}

// Behind spaces, from `at` on. 0: there is none.
int number_in(std::string_view line, std::size_t at) {
  int number = 0;
  const std::size_t begin = std::min(line.find_first_not_of(" \t", at), line.size());
  std::from_chars(line.data() + begin, line.data() + line.size(), number);
  return std::max(number, 0);
}

// Of a unix socket, by its file in /proc/PID/fdinfo (proc(5), net/unix/af_unix.c,
// unix_show_fdinfo); none of any other.
std::size_t descriptors_waiting_in(const std::string& fdinfo) {
  std::ifstream file(fdinfo);
  constexpr std::string_view kField = "scm_fds:";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kField)) return static_cast<std::size_t>(number_in(line, kField.size()));
  }
  return 0;
}

// The number of a descriptor with that link. None of one that may not be looked at, or has ended.
std::optional<int> find_link(pid_t pid, std::string_view wanted) {
  const Folder folder = open_folder("/proc/" + std::to_string(pid) + "/fd");
  if (!folder) return std::nullopt;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (link_in(folder.get(), *entry) == wanted) return number_of(*entry);
  }
  return std::nullopt;
}

bool has_link(pid_t pid, std::string_view wanted) {
  return find_link(pid, wanted).has_value();
}

// Everybody but this process. Error: kSystem.
Result<std::vector<pid_t>> holders_of(std::string_view link) {
  const Folder folder = open_folder("/proc");
  if (!folder) return ktls::fail(Error::system(errno, "/proc"));
  std::vector<pid_t> found;
  while (const dirent* entry = ::readdir(folder.get())) {
    const auto pid = number_of(*entry);
    if (pid && *pid != ::getpid() && has_link(*pid, link)) found.push_back(*pid);
  }
  return found;
}

// The third field of /proc/PID/task/TID/stat; the second may hold any characters, and ends with the
// last ')'. 'X' for a thread that is gone.
char state_of(const std::string& stat_file) {
  std::ifstream file(stat_file);
  std::string text;
  std::getline(file, text);
  const std::size_t at = text.rfind(')');
  return at != std::string::npos && at + 2 < text.size() ? text[at + 2] : 'X';
}

bool stands_still(char state) {
  return state == 'T' || state == 'Z' || state == 'X';
}

std::string folder_of(pid_t pid) {
  return "/proc/" + std::to_string(pid);
}

bool every_thread_stands_still(pid_t pid) {
  const std::string tasks = folder_of(pid) + "/task";
  const Folder folder = open_folder(tasks);
  if (!folder) return true;  // it has ended
  while (const dirent* entry = ::readdir(folder.get())) {
    const auto tid = number_of(*entry);
    if (tid && !stands_still(state_of(tasks + "/" + std::to_string(*tid) + "/stat"))) return false;
  }
  return true;
}

bool is_traced(pid_t pid) {
  std::ifstream file(folder_of(pid) + "/status");
  constexpr std::string_view kField = "TracerPid:";
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(kField, 0) == 0)
      return line.find_first_not_of(" \t0", kField.size()) != std::string::npos;
  }
  return false;
}

// Those that there are, for resume_all(); the mutex is for what they have stopped, too. Never
// destroyed, as other things of static storage may still use them at the end.
std::mutex& all_mutex() {
  static auto* const mutex = new std::mutex();
  return *mutex;
}
std::vector<Holders*>& all_holders() {
  static auto* const holders = new std::vector<Holders*>();
  return *holders;
}

// A program that has just forked moves its connection to descriptor 0, as inetd and busybox do.
// Whoever reads the list meanwhile has passed 0 already, and finds the old number gone: so what is
// not found is looked for once more.
constexpr int kLooks = 2;

int signal_process(int process, int signal) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, process, signal, nullptr, 0));
}

}  // namespace

Holders::Holders(int fd, pid_t group, std::optional<uid_t> user)
    : fd_(fd), group_(group), user_(user) {
  const std::lock_guard lock(all_mutex());
  all_holders().push_back(this);
}

Holders::~Holders() {
  const std::lock_guard lock(all_mutex());
  std::erase(all_holders(), this);
  resume_locked();
}

void Holders::resume_all() {
  const std::lock_guard lock(all_mutex());
  for (Holders* each : all_holders()) each->resume_locked();
}

// Of the process that has the number now.
bool Holders::may_stop(pid_t pid) const {
  if (!user_ || *user_ == 0) return true;
  struct stat status {};
  return ::stat(folder_of(pid).c_str(), &status) == 0 && status.st_uid == *user_;
}

bool Holders::any_in_group() const {
  if (::kill(-group_, 0) != 0 && errno == ESRCH) return false;
  for (int look = 0; look < kLooks; ++look) {
    const auto found = holders_of(link_of(fd_));
    if (!found) return true;  // who cannot be looked for may be there
    const auto is_ours = [this](pid_t pid) { return ::getpgid(pid) == group_; };
    if (std::ranges::any_of(*found, is_ours)) return true;
  }
  return false;
}

// True if it was not known before.
Result<bool> Holders::stop_process(pid_t pid) {
  const bool is_known =
      std::ranges::any_of(stopped_, [pid](const Stopped& each) { return each.pid == pid; });
  if (is_known) return false;
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  // Its number may have gone to another process since it was found.
  if (!process || !has_link(pid, link_of(fd_))) return true;
  if (!may_stop(pid)) {
    return ktls::fail(Error::of(ErrorCode::kRekeyImpossible,
                                "process " + std::to_string(pid) + " is another user's"));
  }
  if (is_traced(pid)) {
    return ktls::fail(Error::of(ErrorCode::kRekeyImpossible,
                                "process " + std::to_string(pid) + " is being traced"));
  }
  const bool by_us = !every_thread_stands_still(pid);
  if (by_us && signal_process(process.get(), SIGSTOP) != 0) {
    if (errno == ESRCH) return true;
    return ktls::fail(Error::system(errno, "cannot stop process " + std::to_string(pid)));
  }
  const std::lock_guard lock(all_mutex());
  stopped_.push_back({.pid = pid, .process = std::move(process), .by_us = by_us});
  return true;
}

Result<bool> Holders::stop() {
  // Whoever still runs may fork, or hand the socket on. So those that are known stop first.
  const auto runs = [](const Stopped& each) { return !every_thread_stands_still(each.pid); };
  if (std::ranges::any_of(stopped_, runs)) return false;
  KTLS_TRY(const std::vector<pid_t> found, holders_of(link_of(fd_)));
  bool some_were_new = false;
  for (const pid_t pid : found) {
    KTLS_TRY(const bool is_new, stop_process(pid));
    some_were_new = some_were_new || is_new;
  }
  return !some_were_new;
}

namespace {

// Whether it is a child of this process, or one of a child, as far as parents have not ended.
bool is_descendant(pid_t pid) {
  constexpr int kGenerationsMax = 100;
  constexpr std::string_view kField = "PPid:";
  for (int generation = 0; pid > 1 && generation < kGenerationsMax; ++generation) {
    std::ifstream file(folder_of(pid) + "/status");
    pid = 0;
    for (std::string line; pid == 0 && std::getline(file, line);) {
      if (line.starts_with(kField)) pid = number_in(line, kField.size());
    }
    if (pid == ::getpid()) return true;
  }
  return false;
}

// The newest first: a descriptor is more likely to be with a child than with its elders.
std::vector<pid_t> other_processes() {
  std::vector<pid_t> found;
  const Folder folder = open_folder("/proc");
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    const auto pid = number_of(*entry);
    if (pid && *pid != ::getpid()) found.push_back(*pid);
  }
  std::ranges::sort(found, std::greater());
  return found;
}

// The number of "socket:[12345]". 0: of no socket.
std::uint64_t inode_of(std::string_view link) {
  std::uint64_t inode = 0;
  if (!link.starts_with(kSocketLink)) return 0;
  std::from_chars(link.data() + kSocketLink.size(), link.data() + link.size(), inode);
  return inode;
}

// Whether the process is one of ours that hides what it has (PR_SET_DUMPABLE), and may have what
// its parents had. Otherwise takes from `wanted` what it has.
bool may_have_all(pid_t pid, std::set<std::uint64_t>& wanted) {
  const Folder folder = open_folder(folder_of(pid) + "/fd");
  if (!folder) return errno == EACCES && is_descendant(pid);
  std::array<char, 64> link{};
  while (const dirent* entry = ::readdir(folder.get())) {
    if (!number_of(*entry)) continue;
    const ssize_t size = ::readlinkat(
        ::dirfd(folder.get()), static_cast<const char*>(entry->d_name), link.data(), link.size());
    if (size < 0 && errno == EACCES) return is_descendant(pid);
    if (size <= 0) continue;
    wanted.erase(inode_of(std::string_view(link.data(), static_cast<std::size_t>(size))));
    if (wanted.empty()) return false;
  }
  return false;
}

}  // namespace

std::size_t descriptors_in_flight() {
  std::size_t all = 0;
  std::set<std::string> seen;
  for (const pid_t pid : other_processes()) {
    const Folder folder = open_folder(folder_of(pid) + "/fd");
    while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
      const std::string link = link_in(folder.get(), *entry);
      if (!link.starts_with(kSocketLink) || !seen.insert(link).second) continue;
      all += descriptors_waiting_in(folder_of(pid) + "/fdinfo/" + entry->d_name);
    }
  }
  return all;
}

std::set<std::uint64_t> held_among(std::set<std::uint64_t> inodes) {
  std::set<std::uint64_t> wanted = inodes;
  for (int look = 0; look < kLooks; ++look) {
    const std::vector<pid_t> processes = other_processes();
    if (processes.empty()) return inodes;  // nothing is to be seen
    for (const pid_t pid : processes) {
      if (wanted.empty() || may_have_all(pid, wanted)) return inodes;
    }
  }
  for (const std::uint64_t inode : wanted) inodes.erase(inode);
  return inodes;
}

UniqueFd borrow_socket(std::uint64_t inode) {
  const std::string link = link_of_inode(inode);
  const auto found = holders_of(link);
  if (!found) return {};
  for (const pid_t pid : *found) {
    const auto number = find_link(pid, link);
    if (!number) continue;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    UniqueFd borrowed(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), *number, 0)));
    // The number may have gone to another file since.
    if (borrowed && link_of(borrowed.get()) == link) return borrowed;
  }
  return {};
}

void Holders::resume() {
  const std::lock_guard lock(all_mutex());
  resume_locked();
}

void Holders::resume_locked() {
  for (const Stopped& each : stopped_) {
    if (each.by_us) signal_process(each.process.get(), SIGCONT);
  }
  stopped_.clear();
}

}  // namespace broker
