// HostNames: the names that a server has, and which of them a client means by its server_name
// extension (SNI, RFC 6066 section 3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"

namespace tls {

// `name` as names are compared: in lower case, without a trailing dot.
[[nodiscard]] std::string canonical_name(std::string_view name);

// The canonical form of a name that a host can be given: "www.example.org", or "*.example.org" for
// any one label before the rest. Error: kInvalidArgument, which names it: a name has labels of 1 to
// 63 letters, digits, hyphens and underscores, and 253 characters at most. Other scripts are
// written as A-labels ("xn--..."); an address is no name, and no client sends one.
[[nodiscard]] ktls::Result<std::string> canonical_host_name(std::string_view name);

// The name in the body of a ClientHello's server_name extension; empty if it is malformed, to which
// libssl objects.
[[nodiscard]] std::string_view server_name_in(std::span<const std::uint8_t> extension);

class HostNames {
 public:
  // Takes the next name. Errors: as canonical_host_name(), and a name that is there already.
  [[nodiscard]] ktls::Result<void> add(std::string_view name);

  // In the order in which they were added, in canonical form.
  [[nodiscard]] const std::vector<std::string>& all() const { return names_; }

  // The index of the name that `server_name`, in canonical form, is or matches; an exact one goes
  // before a wildcard.
  [[nodiscard]] std::optional<std::size_t> find(std::string_view server_name) const;

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace tls
