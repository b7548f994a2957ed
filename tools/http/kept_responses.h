// KeptResponses: whole responses for small files, kept for as long as nothing of what they were
// made from changes.
//
// A file of a few hundred bytes costs far more to be opened, looked at, read and closed than to be
// sent. What decides on a response is kept with it: each path that was tried, and which version of
// which file it named, if any. All of them are asked for again, by DocumentRoot::version_of() and
// so by the rules by which they were opened: a response is sent only if it would be made again the
// same.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "tools/http/open_file.h"
#include "tools/http/request.h"
#include "tools/http/response.h"
#include "tools/http/response_head.h"
#include "tools/http/site.h"

namespace http {

// Larger files are worth no memory: the system keeps them, and opening them is a small part.
inline constexpr std::size_t kKeptSizeMax = 16'384;
// With heads, 6 MiB at most for each holder.
inline constexpr std::size_t kKeptMax = 256;

// One string, as it goes out.
struct KeptResponse {
  std::string text;  // head and body
  std::size_t head_size = 0;
};

// Of one thread. The sites must outlive it.
class KeptResponses {
 public:
  using Answer = std::variant<Response, std::shared_ptr<const KeptResponse>>;

  // What site.answer() says, or the same as it was kept. What is answered does not change any more.
  [[nodiscard]] Answer answer(const Site& site, const Request& request, const Moment& moment,
                              DateCache& dates);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Seen {
    std::string path;
    std::optional<FileVersion> version;
  };
  struct Entry {
    std::string key;
    std::vector<Seen> seen;
    std::shared_ptr<KeptResponse> response;
    std::size_t date_begin = 0;
    std::time_t date = 0;
  };
  using Entries = std::list<Entry>;  // the one that was used last in front

  [[nodiscard]] std::shared_ptr<const KeptResponse> find(const Site& site, const Moment& moment,
                                                         DateCache& dates);
  [[nodiscard]] std::shared_ptr<const KeptResponse> keep(const Response& response,
                                                         std::vector<Seen> seen,
                                                         const Moment& moment, DateCache& dates);
  void set_key(const Site& site, const Request& request);
  void drop(Entries::iterator entry);

  std::string key_;  // of the request that is being answered
  Entries entries_;
  std::unordered_map<std::string, Entries::iterator> by_key_;
};

}  // namespace http
