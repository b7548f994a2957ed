// Lines, read as strictly as section 2.1 says: whoever writes one has made it for a machine.

#include "tools/proxy_protocol/text_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace proxy_protocol {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tools::SocketAddress;

constexpr std::string_view kTcp4 = "PROXY TCP4 ";
constexpr std::string_view kTcp6 = "PROXY TCP6 ";
constexpr std::string_view kUnknown = "PROXY UNKNOWN";
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::size_t kFieldsMax = 4;  // two addresses, two ports

// The shortest that the fields of a line can be: "0.0.0.0", "::", "0".
constexpr std::array<std::size_t, kFieldsMax> kShortest4 = {7, 7, 1, 1};
constexpr std::array<std::size_t, kFieldsMax> kShortest6 = {2, 2, 1, 1};

tl::unexpected<Error> malformed(std::string_view why) {
  return ktls::fail(
      Error::of(ErrorCode::kDecodeError, "malformed PROXY line: " + std::string(why)));
}

// Of the fields behind the protocol, of which `text` is the beginning.
Result<std::size_t> fields_left(std::string_view text,
                                const std::array<std::size_t, kFieldsMax>& shortest) {
  const auto present = static_cast<std::size_t>(std::ranges::count(text, ' '));
  if (present >= kFieldsMax) return malformed("more than two addresses and two ports");
  const std::size_t size = text.size() - (text.rfind(' ') + 1);  // of the last, npos + 1 being 0
  std::size_t left = kLineEnd.size();
  left += shortest[present] > size ? shortest[present] - size : 0;
  for (std::size_t i = present + 1; i < kFieldsMax; ++i) left += 1 + shortest[i];
  return left;
}

// Digits alone, and no zero in front of others (section 2.1).
std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stopped != end) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return port;
}

std::optional<SocketAddress> address_of(int family, std::string_view host, std::string_view port) {
  const std::string name(host);
  const auto number = port_of(port);
  if (!number) return std::nullopt;
  SocketAddress address;
  address.storage.ss_family = static_cast<sa_family_t>(family);
  void* bytes = nullptr;
  if (family == AF_INET) {
    bytes = &reinterpret_cast<sockaddr_in&>(address.storage).sin_addr;
    address.size = sizeof(sockaddr_in);
  } else {
    bytes = &reinterpret_cast<sockaddr_in6&>(address.storage).sin6_addr;
    address.size = sizeof(sockaddr_in6);
  }
  if (::inet_pton(family, name.c_str(), bytes) != 1) return std::nullopt;
  // The rest of a name with a zero byte in it would be nobody's.
  if (name.size() != std::strlen(name.c_str())) return std::nullopt;
  address.set_port(*number);
  return address;
}

// `text` has no end of line.
bool begins_as_a_line(std::string_view text) {
  const auto agrees = [text](std::string_view known) {
    return text.starts_with(known) || known.starts_with(text);
  };
  if (text.starts_with(kUnknown))
    return text.size() == kUnknown.size() || text[kUnknown.size()] == ' ';
  return agrees(kTcp4) || agrees(kTcp6) || agrees(kUnknown);
}

// Without the scope that a link-local address has here: elsewhere it means nothing.
std::string host_of(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr;
  if (address.family() == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr;
  }
  ::inet_ntop(address.family(), bytes, text.data(), text.size());
  return text.data();
}

}  // namespace

Result<std::size_t> text_bytes_left(std::string_view line) {
  const std::size_t end = line.find_first_of(kLineEnd);
  if (!begins_as_a_line(line.substr(0, end))) {
    return malformed("its protocol is none of TCP4, TCP6 and UNKNOWN");
  }
  if (end != std::string_view::npos) {
    if (!kLineEnd.starts_with(line.substr(end))) return malformed("it does not end with CRLF");
    const std::size_t size = end + kLineEnd.size();
    if (size < kTextHeaderMin || size > kTextHeaderMax) return malformed("it has a wrong length");
    return size - line.size();
  }
  if (line.size() + kLineEnd.size() > kTextHeaderMax) return malformed("it has no end");
  if (line.starts_with(kTcp4)) return fields_left(line.substr(kTcp4.size()), kShortest4);
  if (line.starts_with(kTcp6)) return fields_left(line.substr(kTcp6.size()), kShortest6);
  if (line.starts_with(kUnknown)) return kLineEnd.size();
  return kTextHeaderMin - line.size();  // whichever it will be
}

Result<std::optional<Endpoints>> decode_text_header(std::string_view line) {
  line.remove_suffix(kLineEnd.size());
  if (line.starts_with(kUnknown)) return std::optional<Endpoints>();
  const int family = line.starts_with(kTcp4) ? AF_INET : AF_INET6;
  std::array<std::string_view, kFieldsMax> fields;
  std::string_view rest = line.substr(kTcp4.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t end = i + 1 < fields.size() ? rest.find(' ') : rest.size();
    if (end == std::string_view::npos)
      return malformed("two addresses and two ports are not there");
    fields[i] = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto source = address_of(family, fields[0], fields[2]);
  const auto destination = address_of(family, fields[1], fields[3]);
  if (!source || !destination) return malformed("an address or a port is none");
  return Endpoints{.source = *source, .destination = *destination};
}

std::string encode_text_header(const Endpoints& endpoints) {
  const int family = endpoints.source.family();
  std::string line;
  if (family == AF_INET || family == AF_INET6) {
    line.append(family == AF_INET ? kTcp4 : kTcp6)
        .append(host_of(endpoints.source))
        .append(" ")
        .append(host_of(endpoints.destination))
        .append(" ")
        .append(std::to_string(endpoints.source.port()))
        .append(" ")
        .append(std::to_string(endpoints.destination.port()));
  } else {
    line = kUnknown;
  }
  return line.append(kLineEnd);
}

}  // namespace proxy_protocol
