// The listing of a directory, as a page for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/http/directory_entries.h"

namespace http {

// `path` is that of the OpenDirectory; `site` names the server in the breadcrumbs, as the Host
// field did. Send with kPageMediaType and kPageSecurityPolicy. Links are relative or begin with
// '/', so that the page is right behind any host name.
[[nodiscard]] std::string listing_page(std::string_view site, std::string_view path,
                                       const DirectoryEntries& contents);

// "0 B", "1023 B", "1.0 KiB", "12.3 MiB"; exposed for tests.
[[nodiscard]] std::string size_text(std::uint64_t size_bytes);

}  // namespace http
