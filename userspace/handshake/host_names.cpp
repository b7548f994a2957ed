// The form of host names, their order, and the extension that carries one.
#include "userspace/handshake/host_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <arpa/inet.h>

#include "ktls/base/endian.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// RFC 1035 section 2.3.4: 63 octets a label, 255 a name, as it is sent with a length before each
// label and an empty one at the end.
constexpr std::size_t kLabelMax = 63;
constexpr std::size_t kNameMax = 253;
constexpr std::string_view kAnyLabel = "*.";
// RFC 6066 section 3: enum { host_name(0), (255) } NameType.
constexpr std::uint8_t kHostNameType = 0;

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelMax && label.front() != '-' &&
         label.back() != '-' && std::ranges::all_of(label, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
         });
}

// `name` in canonical form.
bool is_host_name(std::string_view name) {
  if (name.size() > kNameMax) return false;
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool is_address(const std::string& name) {
  std::array<std::uint8_t, 16> bytes{};
  return ::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

}  // namespace

std::string canonical_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string canonical(name);
  // Not tolower(), which asks the locale.
  for (char& c : canonical) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return canonical;
}

Result<std::string> canonical_host_name(std::string_view name) {
  std::string canonical = canonical_name(name);
  std::string_view rest = canonical;
  if (rest.starts_with(kAnyLabel)) rest.remove_prefix(kAnyLabel.size());
  const std::string quoted = "host name \"" + std::string(name) + "\": ";
  if (is_address(canonical)) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          quoted + "no client sends an address as server name (RFC 6066)"));
  }
  if (!is_host_name(rest) || canonical.size() > kNameMax) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          quoted + "not a name such as www.example.org or *.example.org (other "
                                   "scripts: xn--...)"));
  }
  return canonical;
}

// RFC 6066 section 3: struct { NameType name_type; opaque HostName<1..2^16-1>; } ServerName;
// struct { ServerName server_name_list<1..2^16-1> } ServerNameList. One entry: "The ServerNameList
// MUST NOT contain more than one name of the same name_type", and there is one type.
std::string_view server_name_in(std::span<const std::uint8_t> extension) {
  constexpr std::size_t kHeaderSize = 5;
  if (extension.size() <= kHeaderSize) return {};
  const auto list_size = ktls::load_big_endian<std::uint16_t>(extension.data());
  const auto name_size = ktls::load_big_endian<std::uint16_t>(extension.data() + 3);
  if (list_size != extension.size() - 2 || extension[2] != kHostNameType ||
      name_size != extension.size() - kHeaderSize) {
    return {};
  }
  const auto name = extension.subspan(kHeaderSize);
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

Result<void> HostNames::add(std::string_view name) {
  KTLS_TRY(std::string canonical, canonical_host_name(name));
  if (!index_.emplace(canonical, names_.size()).second) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          "host name \"" + std::string(name) + "\": given twice"));
  }
  names_.push_back(std::move(canonical));
  return {};
}

std::optional<std::size_t> HostNames::find(std::string_view server_name) const {
  // Else a client could ask for "*.example.org", or for no label before the rest.
  if (!is_host_name(server_name)) return std::nullopt;
  auto found = index_.find(server_name);
  if (const auto dot = server_name.find('.');
      found == index_.end() && dot != std::string_view::npos) {
    // Not "*" + ..., of which g++ 12 warns at -O3 (-Wrestrict).
    found = index_.find(std::string(1, '*').append(server_name.substr(dot)));
  }
  if (found == index_.end()) return std::nullopt;
  return found->second;
}

}  // namespace tls
