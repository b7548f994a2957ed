// Site: one directory and the rules by which it is served.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ktls/base/result.h"
#include "tools/http/cache_rules.h"
#include "tools/http/document_root.h"
#include "tools/http/encoding_choice.h"
#include "tools/http/media_types.h"
#include "tools/http/own_header.h"
#include "tools/http/range.h"
#include "tools/http/request.h"
#include "tools/http/response.h"
#include "tools/http/response_head.h"
#include "tools/http/target.h"

namespace http {

// What all sites of a server have in common.
//   headers      added to every response
//   listing      directories without an index file are listed
//   precompressed  FILE.zst, FILE.br and FILE.gz stand for FILE where a client takes them
struct SitePolicy {
  DocumentPolicy documents;
  MediaTypes media_types;
  CacheRules cache_rules;
  std::vector<OwnHeader> headers;
  bool listing = false;
  bool precompressed = true;
};

// What a response depends on besides the request.
//   keep_alive  whether the connection has room for another request
struct Moment {
  timespec now{};
  bool keep_alive = true;
};

// Thread-safe: nothing of it changes. `policy` is borrowed.
class Site {
 public:
  // Error: that of DocumentRoot::open().
  [[nodiscard]] static ktls::Result<Site> open(const std::string& directory,
                                               const SitePolicy& policy);

  // Never fails: what cannot be answered otherwise is a response with an error status.
  [[nodiscard]] Response answer(const Request& request, const Moment& moment,
                                DateCache& dates) const;

  // The paths whose files decide on answer() to a GET without conditions: what is asked for, or the
  // index of it, and what may stand for it in another coding.
  [[nodiscard]] std::vector<std::string> paths_of(const Request& request) const;
  // DocumentRoot::version_of().
  [[nodiscard]] std::optional<FileVersion> version_of(const std::string& path) const {
    return root_.version_of(path);
  }

 private:
  Site(DocumentRoot root, const SitePolicy& policy) : root_(std::move(root)), policy_(&policy) {}

  struct Asked;  // one request, taken apart
  [[nodiscard]] Response answer_file(Asked& asked, OpenFile file) const;
  [[nodiscard]] Response answer_part(Asked& asked, OpenFile file, std::vector<ByteRange> ranges,
                                     ResponseHead head, std::string_view media_type) const;
  [[nodiscard]] Response answer_directory(Asked& asked, OpenDirectory directory) const;
  // The variant in `file`'s place that the client likes best, if there is one.
  [[nodiscard]] Coding choose_variant(const Asked& asked, OpenFile& file) const;

  DocumentRoot root_;
  const SitePolicy* policy_;
};

// A response of an error status to a request that has got no further: one that could not be read,
// or that is for another server. Closes the connection unless `keep_alive`.
//   extra  one field more, such as Allow; its name may be empty
struct ErrorAnswer {
  int status = 500;
  bool keep_alive = false;
  bool is_head = false;
  bool accepts_html = false;
  std::pair<std::string_view, std::string_view> extra{};
};
[[nodiscard]] Response error_response(const ErrorAnswer& answer, const SitePolicy& policy,
                                      const timespec& now, DateCache& dates);

// 308 to `location`, the method stays what it was.
[[nodiscard]] Response redirect_response(std::string_view location, bool keep_alive,
                                         const SitePolicy& policy, const timespec& now,
                                         DateCache& dates);

}  // namespace http
