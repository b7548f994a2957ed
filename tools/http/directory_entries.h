// What a directory holds that can be served.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "tools/http/document_root.h"

namespace http {

struct DirectoryEntry {
  std::string name;  // any bytes but NUL and '/'
  bool is_directory = false;
  std::uint64_t size = 0;
  std::time_t modified = 0;
};

struct DirectoryEntries {
  std::vector<DirectoryEntry> entries;  // directories first, then by name
  // How many names were left out when the limit was reached. They were not looked at: there may be
  // some among them that are not served.
  std::uint64_t more = 0;
  bool more_at_least = false;  // so many, and not even all names were counted
};

// A page of more entries is of no use to people, and each costs a system call.
inline constexpr std::size_t kEntriesMax = 5'000;
// Counting goes on behind the limit, but not for ever: 100,000 names take some 20 ms to read.
inline constexpr std::size_t kNamesReadMax = 100'000;

// Hidden names, special files, and links that the policy of `root` does not follow are left out.
// Blocks on the disk. Error: kSystem naming the directory.
[[nodiscard]] ktls::Result<DirectoryEntries> read_directory(const DocumentRoot& root,
                                                            OpenDirectory directory,
                                                            std::size_t entries_max = kEntriesMax);

}  // namespace http
