// The authority of a URI as a request names it: a host and perhaps a port, no user.
#pragma once

#include <string_view>

namespace http {

// Whether `text` is a valid Host field value: uri-host [ ":" port ] of RFC 9110 section 7.2, with
// a registered name, an IPv4 address or an IP literal in brackets. The empty value is one: it is
// what a client sends whose URI has no authority (RFC 9112 section 3.2).
[[nodiscard]] bool is_valid_authority(std::string_view text);

// The host of a valid authority, without the port, an IP literal with its brackets.
[[nodiscard]] std::string_view host_of(std::string_view authority);

}  // namespace http
