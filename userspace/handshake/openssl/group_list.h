// The key exchange groups that a user names: curves and finite fields (RFC 8446 section 4.2.7).
#pragma once

#include <string>
#include <string_view>

#include "ktls/base/result.h"

namespace tls {

// `list`, names between colons or commas in order of preference, as SSL_CTX_set1_groups_list(3)
// takes it. Error: kInvalidArgument, naming the first group that libssl does not have.
[[nodiscard]] ktls::Result<std::string> parse_group_list(std::string_view list);

}  // namespace tls
