// PR_SET_DUMPABLE, RLIMIT_CORE and core(5)'s coredump_filter.

#include "tools/hardening/core_dump.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;
using ktls::UniqueFd;

// core(5): bit 4, the first page of each mapped ELF file, by which a debugger knows which build it
// was. Bit 0 would be heaps, stacks, and the data of libraries once it was written to.
constexpr std::uint32_t kElfHeaders = 1U << 4U;

struct State {
  rlimit limit{};  // of the time before forbid_core_dumps()
  bool is_allowed = false;
  std::optional<std::uint32_t> filter;  // that programs are to have
};
State& state() {
  static State state;
  return state;
}

std::string filter_path(const std::string& process) {
  return "/proc/" + process + "/coredump_filter";
}

// Hexadecimal, as the kernel prints it.
Result<std::uint32_t> read_filter() {
  const std::string path = filter_path("self");
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 32> text{};
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size < 0) return ktls::fail(Error::system(errno, path));
  std::uint32_t filter = 0;
  if (std::from_chars(text.data(), text.data() + size, filter, 16).ec != std::errc()) {
    return ktls::fail(Error::of(ktls::ErrorCode::kDecodeError, path + ": not a number"));
  }
  return filter;
}

Result<void> write_filter(const std::string& process, std::uint32_t filter) {
  const std::string path = filter_path(process);
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(filter);
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return ktls::fail(Error::system(errno, path));
  }
  return {};
}

// Believes only what the kernel says that it has.
Result<void> leave_memory_out() {
  KTLS_TRY(const std::uint32_t before, read_filter());
  if (auto written = write_filter("self", kElfHeaders); !written) return written;
  KTLS_TRY(const std::uint32_t now, read_filter());
  if (now != kElfHeaders) {
    return ktls::fail(Error::of(ktls::ErrorCode::kUnsupported,
                                "the kernel does not take " + filter_path("self")));
  }
  state().filter = before;
  return {};
}

}  // namespace

void forbid_core_dumps() {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::getrlimit(RLIMIT_CORE, &state().limit);
  const rlimit none{.rlim_cur = 0, .rlim_max = state().limit.rlim_max};
  ::setrlimit(RLIMIT_CORE, &none);
}

void forbid_core_dumps_for_good() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

Result<void> allow_core_dumps() {
  // Otherwise the files in /proc are root's. The limit is 0 still.
  ::prctl(PR_SET_DUMPABLE, 1);
  auto left_out = leave_memory_out();
  if (left_out && ::setrlimit(RLIMIT_CORE, &state().limit) != 0) {
    left_out = ktls::fail(Error::system(errno, "setrlimit(RLIMIT_CORE)"));
  }
  if (!left_out) {
    ::prctl(PR_SET_DUMPABLE, 0);
    return left_out;
  }
  state().is_allowed = true;
  return {};
}

std::optional<std::string> core_directory() {
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  if (pattern.empty() || pattern.front() == '|' || pattern.front() == '@') return std::nullopt;
  const std::size_t slash = pattern.rfind('/');
  if (slash == std::string::npos) return ".";
  return pattern.substr(0, std::max<std::size_t>(slash, 1));
}

void keep_core_dumps_as_they_were() {
  ::prctl(PR_SET_DUMPABLE, state().is_allowed ? 1 : 0);
}

void restore_core_filter_of(pid_t program) {
  if (!state().filter) return;
  // One that has ended, or has another user by now, needs none of ours.
  static_cast<void>(write_filter(std::to_string(program), *state().filter));
}

}  // namespace tools
