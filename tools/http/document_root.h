// DocumentRoot: opens the files below one directory, and nothing outside it.
//
// Every open is one openat2(2) with RESOLVE_BENEATH: the kernel itself refuses a path that leaves
// the directory, whatever is renamed or linked meanwhile. No descriptor is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/http/encoding_choice.h"
#include "tools/http/open_file.h"

namespace http {

enum class SymlinkPolicy : std::uint8_t {
  kBeneath,  // followed while they stay below the root
  kNever,
};

struct DocumentPolicy {
  SymlinkPolicy symlinks = SymlinkPolicy::kBeneath;
  // Whether names that begin with a dot are served. /.well-known always is (RFC 8615), since
  // certificates are renewed through it; hidden names below it are not.
  bool dot_files = false;
  std::vector<std::string> index_names = {"index.html"};  // the first that exists is taken
};

struct OpenDirectory {
  ktls::UniqueFd fd;  // for reading
  std::string path;   // below the root, "" or with a slash at its end
};
struct SlashMissing {};  // a directory was named as a file: redirect to its name with the slash
struct NotFound {};      // absent, or refused by policy, or neither file nor directory
struct Forbidden {};     // there, but this process may not read it

using Resource = std::variant<OpenFile, OpenDirectory, SlashMissing, NotFound, Forbidden>;

class DocumentRoot {
 public:
  // Error: kSystem naming `directory`; kUnsupported where openat2 is not to be had, since nothing
  // else keeps a path below the root without a race.
  [[nodiscard]] static ktls::Result<DocumentRoot> open(const std::string& directory,
                                                       DocumentPolicy policy);

  // What `path` names. It is relative, decoded, "" for the root itself, and has one spelling: with
  // an empty segment, "." or ".." it names nothing. A directory with a slash at its end answers
  // its index file, or itself if there is none. A hit costs openat2 and fstat.
  // Error: kSystem naming the path when the system is short of something (descriptors, memory), so
  // that the answer is no statement about the file.
  [[nodiscard]] ktls::Result<Resource> open(std::string_view path) const;

  // `original` compressed in advance: the file beside it with the suffix of `coding`, unless it is
  // missing or outdated, or `coding` is identity. Error: as of open.
  [[nodiscard]] ktls::Result<std::optional<OpenFile>> open_variant(const OpenFile& original,
                                                                   Coding coding) const;

  // Which version of what open() would answer for `path`: nothing where it names none, or where the
  // path would be refused. A path of one name costs one stat, unless that name is a link; any other
  // is walked by openat2, as open() does it.
  [[nodiscard]] std::optional<FileVersion> version_of(const std::string& path) const;

  // What `path` names, by its metadata alone: no access to its content, and none is needed.
  // Nothing if it could not be served.
  [[nodiscard]] std::optional<struct stat> status(std::string_view path) const;

  [[nodiscard]] const DocumentPolicy& policy() const { return policy_; }

 private:
  DocumentRoot(ktls::UniqueFd directory, DocumentPolicy policy)
      : directory_(std::move(directory)), policy_(std::move(policy)) {}
  [[nodiscard]] ktls::Result<ktls::UniqueFd> open_beneath(const std::string& path,
                                                          std::uint64_t flags) const;
  [[nodiscard]] ktls::Result<Resource> open_allowed(std::string path) const;
  [[nodiscard]] ktls::Result<Resource> open_index(const std::string& directory) const;

  ktls::UniqueFd directory_;
  DocumentPolicy policy_;
};

// Whether `policy` serves a path of such names; says nothing about whether it exists.
[[nodiscard]] bool is_served(std::string_view path, const DocumentPolicy& policy);

}  // namespace http
