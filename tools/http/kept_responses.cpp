// What may be kept, and when it is still true.

#include "tools/http/kept_responses.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <unistd.h>

namespace http {
namespace {

// Longer ones are hardly asked for often.
constexpr std::size_t kTargetSizeMax = 256;
constexpr std::size_t kAcceptEncodingSizeMax = 128;
constexpr std::size_t kHeadSizeMax = 8192;
constexpr std::string_view kDateField = "\r\nDate: ";

// With any of these the response may be another one.
constexpr std::array kDeciding = {Field::kIfMatch, Field::kIfModifiedSince,   Field::kIfNoneMatch,
                                  Field::kIfRange, Field::kIfUnmodifiedSince, Field::kRange};

// Queries make any number of targets of one file; who sends one wants no file served, usually.
bool is_plain(const Request& request, const Moment& moment) {
  return request.method == Method::kGet && request.body == Body::kNone && request.keep_alive &&
         moment.keep_alive && request.target.size() <= kTargetSizeMax &&
         request.target.find('?') == std::string_view::npos &&
         request.field(Field::kAcceptEncoding).value_or("").size() <= kAcceptEncodingSizeMax &&
         std::ranges::none_of(kDeciding,
                              [&](Field field) { return request.field(field).has_value(); });
}

// The whole of one small file.
bool is_small_file(const Response& response) {
  const ResponseBody& body = response.body;
  return response.status == 200 && response.keep_alive && body.file && body.after.empty() &&
         response.head.size() <= kHeadSizeMax && body.pieces.size() == 1 &&
         body.pieces.front().before.empty() && body.pieces.front().offset == 0 &&
         body.pieces.front().size == body.file->version.size &&
         body.file->version.size <= kKeptSizeMax;
}

bool append_content(const OpenFile& file, std::string& text) {
  const std::size_t begin = text.size();
  const auto size = static_cast<std::size_t>(file.version.size);
  text.resize(begin + size);
  for (std::size_t done = 0; done != size;) {
    const ssize_t count =
        ::pread(file.fd.get(), text.data() + begin + done, size - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

void KeptResponses::set_key(const Site& site, const Request& request) {
  const Site* const which = &site;
  key_.assign(reinterpret_cast<const char*>(&which), sizeof which);
  key_ += request.target;
  // Without the field any coding would be acceptable, with an empty one none (RFC 9110 section
  // 12.5.3). No field value holds these two characters.
  const auto accepted = request.field(Field::kAcceptEncoding);
  key_ += accepted ? '\n' : '\0';
  key_ += accepted.value_or("");
}

void KeptResponses::drop(Entries::iterator entry) {
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

std::shared_ptr<const KeptResponse> KeptResponses::find(const Site& site, const Moment& moment,
                                                        DateCache& dates) {
  const auto found = by_key_.find(key_);
  if (found == by_key_.end()) return nullptr;
  const auto entry = found->second;
  const bool is_true = std::ranges::all_of(
      entry->seen, [&](const Seen& each) { return site.version_of(each.path) == each.version; });
  if (!is_true) {
    drop(entry);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  if (entry->date != moment.now.tv_sec) {
    // Another connection may be sending it.
    if (entry->response.use_count() > 1) {
      entry->response = std::make_shared<KeptResponse>(*entry->response);
    }
    const std::string_view date = dates.at(Seconds(std::chrono::seconds(moment.now.tv_sec)));
    entry->response->text.replace(entry->date_begin, date.size(), date);
    entry->date = moment.now.tv_sec;
  }
  return entry->response;
}

std::shared_ptr<const KeptResponse> KeptResponses::keep(const Response& response,
                                                        std::vector<Seen> seen,
                                                        const Moment& moment, DateCache& dates) {
  if (!is_small_file(response)) return nullptr;
  const OpenFile& file = *response.body.file;
  // Which path it was, is known only now; what it named was looked at before it was opened.
  const bool was_seen = std::ranges::any_of(seen, [&](const Seen& each) {
    return each.path == file.path && each.version == file.version;
  });
  // A write that no time stamp tells from the one before would leave old bytes here for ever.
  if (!was_seen || !file.version.is_settled(moment.now)) return nullptr;

  const std::string_view date = dates.at(Seconds(std::chrono::seconds(moment.now.tv_sec)));
  const std::size_t field = response.head.find(kDateField);
  if (field == std::string::npos) return nullptr;
  const std::size_t date_begin = field + kDateField.size();
  if (response.head.compare(date_begin, date.size(), date) != 0) return nullptr;

  auto kept = std::make_shared<KeptResponse>();
  kept->head_size = response.head.size();
  kept->text.reserve(response.head.size() + kKeptSizeMax);
  kept->text = response.head;
  if (!append_content(file, kept->text) || file.changed()) return nullptr;
  kept->text.shrink_to_fit();

  if (entries_.size() == kKeptMax) drop(std::prev(entries_.end()));
  entries_.push_front({.key = key_,
                       .seen = std::move(seen),
                       .response = kept,
                       .date_begin = date_begin,
                       .date = moment.now.tv_sec});
  by_key_.emplace(key_, entries_.begin());
  return kept;
}

KeptResponses::Answer KeptResponses::answer(const Site& site, const Request& request,
                                            const Moment& moment, DateCache& dates) {
  if (!is_plain(request, moment)) return site.answer(request, moment, dates);
  set_key(site, request);
  if (auto kept = find(site, moment, dates)) return kept;
  std::vector<Seen> seen;
  for (std::string& path : site.paths_of(request)) {
    auto version = site.version_of(path);
    seen.push_back({.path = std::move(path), .version = version});
  }
  Response response = site.answer(request, moment, dates);
  if (auto kept = keep(response, std::move(seen), moment, dates)) return kept;
  return response;
}

}  // namespace http
