// Variables of the environment, of which a program's children have their own copies.

#include "tools/ktls-bridge/run_environment.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>

#include <unistd.h>

#include "tools/ktls-bridge/version.h"
#include "userspace/broker/protocol.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

constexpr std::string_view kLibrary = "libktls-bridge-preload.so";
constexpr std::string_view kPreload = "LD_PRELOAD=";
constexpr std::string_view kListen = "KTLS_BRIDGE_LISTEN=";
constexpr std::string_view kConnect = "KTLS_BRIDGE_CONNECT=";
constexpr std::string_view kChannel = "KTLS_BRIDGE_CHANNEL=";

bool is_ours(std::string_view variable) {
  const std::string broker = std::string(broker::kPathVariable) + "=";
  const std::array<std::string_view, 4> prefixes = {kListen, kConnect, kChannel, broker};
  return std::ranges::any_of(prefixes,
                             [&](std::string_view each) { return variable.starts_with(each); });
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& each : parts) {
    if (!all.empty()) all += ',';
    all += each;
  }
  return all;
}

// What else is to be loaded comes behind; ld.so(8) takes spaces and colons between.
std::string preload_list(const std::string& library, std::string_view others) {
  std::string list = library;
  while (!others.empty()) {
    const std::size_t end = std::min(others.find_first_of(": "), others.size());
    const std::string_view each = others.substr(0, end);
    if (!each.empty() && each != library) list.append(":").append(each);
    others.remove_prefix(std::min(end + 1, others.size()));
  }
  return list;
}

}  // namespace

std::vector<std::string> run_environment(const std::vector<std::string>& own,
                                         const Preload& preload) {
  std::vector<std::string> environment;
  std::string_view others;
  for (const std::string& each : own) {
    if (each.starts_with(kPreload)) {
      others = std::string_view(each).substr(kPreload.size());
    } else if (!is_ours(each)) {
      environment.push_back(each);
    }
  }
  environment.push_back(std::string(kPreload) + preload_list(preload.library, others));
  std::vector<std::string> ports;
  for (const std::uint16_t port : preload.listen) ports.push_back(std::to_string(port));
  if (!ports.empty()) environment.push_back(std::string(kListen) + joined(ports));
  if (!preload.connect.empty()) {
    environment.push_back(std::string(kConnect) + joined(preload.connect));
  }
  environment.push_back(std::string(kChannel) + std::to_string(preload.channel));
  return environment;
}

std::vector<std::string> own_environment() {
  std::vector<std::string> environment;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    environment.emplace_back(*each);
  }
  return environment;
}

std::vector<std::string> preload_places(const std::string& program_directory) {
  const std::string libraries = kLibraryDirectory;
  const bool is_absolute = libraries.starts_with('/');
  const std::string installed = is_absolute ? libraries : program_directory + "/../" + libraries;
  const std::string file = "/" + std::string(kLibrary);
  return {program_directory + "/../preload" + file, installed + "/ktls-bridge" + file};
}

Result<std::string> find_preload(const std::vector<std::string>& places) {
  std::string tried;
  for (const std::string& each : places) {
    if (::access(each.c_str(), R_OK) != 0) {
      tried += (tried.empty() ? "" : ", nor as ") + each;
      continue;
    }
    std::array<char, PATH_MAX> whole{};
    const std::string path =
        ::realpath(each.c_str(), whole.data()) != nullptr ? whole.data() : each;
    if (path.find_first_of(": ") == std::string::npos) return path;
    return ktls::fail(Error::of(ErrorCode::kUnsupported,
                                path + ": LD_PRELOAD takes no path with a space or a colon"));
  }
  return ktls::fail(
      Error::of(ErrorCode::kUnsupported,
                "the library that is loaded into programs is not there: neither as " + tried));
}

Result<std::string> program_directory() {
  std::array<char, PATH_MAX> path{};
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return ktls::fail(Error::system(errno, "/proc/self/exe"));
  const std::string program(path.data(), static_cast<std::size_t>(size));
  return program.substr(0, program.rfind('/'));
}

}  // namespace tools
