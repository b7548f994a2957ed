#include "tools/preload/environment.h"

#include <array>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <dlfcn.h>
#include <sys/mman.h>

#include "tools/preload/setting.h"
#include "userspace/broker/protocol.h"

namespace preload {
namespace {

constexpr std::size_t kTextMax = 65'536;
constexpr std::array kOwnVariables{kListenVariable, kConnectVariable, kChannelVariable,
                                   broker::kPathVariable};

// "NAME=VALUE" of those of kOwnVariables that there are, and the path of this library.
std::array<char, kTextMax> g_text;
std::array<const char*, kOwnVariables.size()> g_entries;
std::array<char, PATH_MAX> g_path;
const char* g_library = "";

std::size_t copy_entry(std::string_view name, std::string_view value, std::size_t at) {
  if (at + name.size() + value.size() + 2 > g_text.size()) return at;
  char* to = g_text.data() + at;
  to += name.copy(to, name.size());
  *to++ = '=';
  to += value.copy(to, value.size());
  *to++ = '\0';
  return static_cast<std::size_t>(to - g_text.data());
}

// Whether "NAME=VALUE" is of that name.
bool is_variable(std::string_view entry, std::string_view name) {
  return entry.size() > name.size() && entry.substr(0, name.size()) == name &&
         entry[name.size()] == '=';
}

// Of those alone that are told in its place.
bool is_own(std::string_view entry) {
  for (std::size_t i = 0; i < kOwnVariables.size(); ++i) {
    if (g_entries.at(i) != nullptr && is_variable(entry, kOwnVariables.at(i))) return true;
  }
  return false;
}

bool names_library(std::string_view preload) {
  return preload.find(g_library) != std::string_view::npos;
}

const char* find_preload(char* const given[]) {
  for (; *given != nullptr; ++given) {
    if (is_variable(*given, kPreloadVariable)) return *given + std::strlen(kPreloadVariable) + 1;
  }
  return "";
}

std::size_t count_of(char* const given[]) {
  std::size_t count = 0;
  while (given[count] != nullptr) ++count;
  return count;
}

}  // namespace

void remember_environment() {
  Dl_info info{};
  static const int here = 0;
  // The next program may be started in another folder.
  if (::dladdr(&here, &info) != 0) {
    g_library =
        ::realpath(info.dli_fname, g_path.data()) != nullptr ? g_path.data() : info.dli_fname;
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < kOwnVariables.size(); ++i) {
    const char* const value = std::getenv(kOwnVariables.at(i));
    g_entries.at(i) = nullptr;
    if (value == nullptr) continue;
    const std::size_t end = copy_entry(kOwnVariables.at(i), value, at);
    if (end != at) g_entries.at(i) = g_text.data() + at;
    at = end;
  }
}

void remember_channel(int fd) {
  static std::array<char, 48> entry;
  const std::string_view name(kChannelVariable);
  char* to = entry.data() + name.copy(entry.data(), name.size());
  *to++ = '=';
  *std::to_chars(to, entry.data() + entry.size() - 1, fd).ptr = '\0';
  for (std::size_t i = 0; i < kOwnVariables.size(); ++i) {
    if (kOwnVariables.at(i) == name) g_entries.at(i) = entry.data();
  }
}

ProgramEnvironment::ProgramEnvironment(char* const given[]) : variables_(given) {
  static char* const none[] = {nullptr};
  if (given == nullptr) given = none;
  const std::string_view preload = find_preload(given);
  const std::size_t pointers = (count_of(given) + g_entries.size() + 2) * sizeof(char*);
  const std::size_t text =
      std::strlen(kPreloadVariable) + std::strlen(g_library) + preload.size() + 3;
  room_size_ = pointers + text;
  room_ = ::mmap(nullptr, room_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room_ == MAP_FAILED) {
    room_ = nullptr;
    return;
  }
  auto* const variables = static_cast<char**>(room_);
  char* const line = static_cast<char*>(room_) + pointers;
  std::size_t count = 0;
  for (char* const* each = given; *each != nullptr; ++each) {
    if (!is_own(*each) && !is_variable(*each, kPreloadVariable)) variables[count++] = *each;
  }
  for (const char* const each : g_entries) {
    if (each != nullptr) variables[count++] = const_cast<char*>(each);
  }
  char* to = line + std::string_view(kPreloadVariable).copy(line, text);
  *to++ = '=';
  if (!names_library(preload)) {
    to += std::string_view(g_library).copy(to, text);
    if (!preload.empty()) *to++ = ':';
  }
  to += preload.copy(to, preload.size());
  *to = '\0';
  variables[count++] = line;
  variables[count] = nullptr;
  variables_ = variables;
}

bool is_complete(char* const given[]) {
  if (!names_library(find_preload(given))) return false;
  for (const char* const own : g_entries) {
    bool is_there = own == nullptr;
    for (char* const* each = given; *each != nullptr && !is_there; ++each) {
      is_there = std::string_view(*each) == own;
    }
    if (!is_there) return false;
  }
  return true;
}

ProgramEnvironment::~ProgramEnvironment() {
  if (room_ != nullptr) ::munmap(room_, room_size_);
}

}  // namespace preload
