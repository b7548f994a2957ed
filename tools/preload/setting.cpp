#include "tools/preload/setting.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "tools/preload/host_text.h"
#include "tools/preload/say.h"
#include "tools/preload/setting_limits.h"

namespace preload {
namespace {

struct Pattern {
  std::string_view host;   // empty: any
  AddressText address;     // which `host` is, if it is one
  std::uint16_t port = 0;  // 0: any
};

// The texts are copied, for a program may change its environment.
std::array<char, kPatternsTextMax> g_connect_text;
std::array<std::uint16_t, kPortsMax> g_ports;
std::array<Pattern, kPatternsMax> g_patterns;
std::size_t g_port_count = 0;
std::size_t g_pattern_count = 0;
bool g_is_broken = false;

void complain(std::string_view variable, std::string_view entry) {
  say({variable, ": cannot be read at \"", entry,
       "\"; TLS was asked for, so this program neither listens nor connects"});
  g_is_broken = true;
}

// Calls `take(entry)` for each part between commas; false: it was none.
template <class Take>
void split(std::string_view variable, std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!take(entry)) {
      complain(variable, entry);
      return;
    }
  }
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

bool add_port(std::string_view entry) {
  if (g_port_count == kPortsMax) return false;
  return parse_port(entry, g_ports.at(g_port_count++));
}

// As names and addresses are, by which it is found. False: no host is written like this.
bool settle_host(Pattern& pattern) {
  if (!pattern.host.empty() && pattern.host.back() == '.') pattern.host.remove_suffix(1);
  if (pattern.host.find_first_of("/[]") != std::string_view::npos) return false;
  const HostForm form = form_of(pattern.host, pattern.address);
  if (form == HostForm::kAddress) pattern.host = pattern.address.view();
  return form != HostForm::kOtherAddress;
}

bool add_pattern(std::string_view entry) {
  if (g_pattern_count == kPatternsMax || entry.empty()) return false;
  Pattern& pattern = g_patterns.at(g_pattern_count);
  pattern = {};
  std::string_view port;
  if (entry.front() == '[') {
    const std::size_t end = entry.find(']');
    if (end == std::string_view::npos) return false;
    pattern.host = entry.substr(1, end - 1);
    port = entry.substr(end + 1);
    if (!port.empty() && port.front() != ':') return false;
  } else {
    const std::size_t colon = std::min(entry.rfind(':'), entry.size());
    pattern.host = entry.substr(0, colon);
    port = entry.substr(colon);
  }
  if (!port.empty() && port != ":*" && !parse_port(port.substr(1), pattern.port)) return false;
  if (!settle_host(pattern)) return false;
  ++g_pattern_count;
  return true;
}

// Which host is meant is left open.
bool is_any_host(const Pattern& pattern) {
  return pattern.host.find_first_not_of('*') == std::string_view::npos;
}

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

}  // namespace

void read_setting() {
  g_port_count = 0;
  g_pattern_count = 0;
  if (const char* ports = std::getenv(kListenVariable)) {
    split(kListenVariable, ports, add_port);
  }
  if (const char* patterns = std::getenv(kConnectVariable)) {
    const std::string_view text(patterns);
    if (text.size() > g_connect_text.size()) {
      complain(kConnectVariable, text.substr(0, 40));
      return;
    }
    text.copy(g_connect_text.data(), text.size());
    split(kConnectVariable, {g_connect_text.data(), text.size()}, add_pattern);
  }
}

bool is_broken() {
  return g_is_broken;
}

bool wraps_any_port() {
  return g_port_count > 0 || g_is_broken;
}

bool wraps_port(std::uint16_t port) {
  return g_is_broken || std::find(g_ports.begin(), g_ports.begin() + g_port_count, port) !=
                            g_ports.begin() + g_port_count;
}

bool wraps_any_peer() {
  return g_pattern_count > 0 || g_is_broken;
}

PeerMatch match_peer(std::string_view name, std::uint16_t port) {
  PeerMatch found = g_is_broken ? PeerMatch::kAnyHost : PeerMatch::kNone;
  for (std::size_t i = 0; i < g_pattern_count; ++i) {
    const Pattern& each = g_patterns[i];
    if (each.port != 0 && each.port != port) continue;
    if (is_any_host(each)) {
      found = PeerMatch::kAnyHost;
    } else if (matches(each.host, name)) {
      return PeerMatch::kHost;
    }
  }
  return found;
}

bool is_host_of_pattern(std::string_view name) {
  return std::any_of(
      g_patterns.begin(), g_patterns.begin() + g_pattern_count,
      [&](const Pattern& each) { return !is_any_host(each) && matches(each.host, name); });
}

bool matches(std::string_view glob, std::string_view name) {
  // Where the last `*` was, and what of the name it stands for so far.
  std::size_t star = std::string_view::npos;
  std::size_t stands_until = 0;
  std::size_t at = 0;
  std::size_t i = 0;
  while (i < name.size()) {
    if (at < glob.size() && (glob[at] == '?' || lower(glob[at]) == lower(name[i]))) {
      ++at;
      ++i;
    } else if (at < glob.size() && glob[at] == '*') {
      star = at++;
      stands_until = i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++stands_until;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace preload
