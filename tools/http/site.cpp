// From a request to a response: the resource, its variant, the preconditions, the range.

#include "tools/http/site.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <variant>

#include "tools/http/conditional.h"
#include "tools/http/error_page.h"
#include "tools/http/field_value.h"
#include "tools/http/listing.h"
#include "tools/http/multipart_ranges.h"
#include "tools/http/page.h"

namespace http {
namespace {

constexpr std::string_view kAllowed = "GET, HEAD";

// Methods that are known and not for files; anything else is not implemented (RFC 9110 section
// 15.6.2).
constexpr std::string_view kOtherMethods[] = {"POST",    "PUT",   "DELETE", "CONNECT",
                                              "OPTIONS", "TRACE", "PATCH"};

Seconds seconds_of(const timespec& time) {
  return Seconds(std::chrono::seconds(time.tv_sec));
}

bool takes_html(const Request& request) {
  const auto accept = request.field(Field::kAccept);
  if (!accept) return false;
  ListReader members(*accept);
  while (const auto member = members.next()) {
    const std::string_view name = trimmed(member->substr(0, member->find(';')));
    if (equals_ignoring_case(name, "text/html") || equals_ignoring_case(name, "text/*"))
      return true;
  }
  return false;
}

// What every response has.
ResponseHead begin_head(int status, bool keep_alive, const SitePolicy& policy, const timespec& now,
                        DateCache& dates) {
  ResponseHead head(status);
  head.add("Date", dates.at(seconds_of(now)));
  // A client of HTTP/1.0 has to be told that the connection stays (RFC 9112 section 9.3).
  head.add("Connection", keep_alive ? "keep-alive" : "close");
  head.add("X-Content-Type-Options", "nosniff");
  for (const OwnHeader& own : policy.headers) head.add(own.name, own.value);
  return head;
}

// `rest` behind its head. A field that is refused was made of a file's or a client's bytes: nothing
// of it is sent then, and nothing of `rest`.
Response finish(ResponseHead head, Response rest) {
  if (auto finished = std::move(head).finish()) {
    rest.head = *std::move(finished);
    return rest;
  }
  return {
      .status = 500,
      .head =
          "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      .body = {},
      .ranges = 0,
      .keep_alive = false};
}

std::string tag_of(const FileVersion& version, Coding coding, const timespec& now) {
  std::string tag = version.entity_tag(now);
  // Two codings of one content are two representations (RFC 9110 section 8.8.3.3).
  if (coding != Coding::kIdentity) {
    tag.insert(tag.size() - 1, std::string(1, '-').append(coding_name(coding)));
  }
  return tag;
}

std::uint64_t random_number() {
  thread_local std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

struct Site::Asked {
  const Request& request;
  Target target;
  const Moment& moment;
  DateCache& dates;
  const SitePolicy& policy;

  [[nodiscard]] bool is_head() const { return request.method == Method::kHead; }
  [[nodiscard]] bool keep_alive() const { return request.keep_alive && moment.keep_alive; }
  [[nodiscard]] ResponseHead begin(int status) const {
    return begin_head(status, keep_alive(), policy, moment.now, dates);
  }
  [[nodiscard]] Response finish(int status, ResponseHead head, ResponseBody body,
                                unsigned ranges = 0) const {
    Response response{
        .status = status, .head = {}, .body = {}, .ranges = ranges, .keep_alive = keep_alive()};
    if (!is_head()) response.body = std::move(body);
    return http::finish(std::move(head), std::move(response));
  }
  [[nodiscard]] Response refuse(int status,
                                std::pair<std::string_view, std::string_view> extra = {}) const {
    return error_response({.status = status,
                           .keep_alive = keep_alive(),
                           .is_head = is_head(),
                           .accepts_html = takes_html(request),
                           .extra = extra},
                          policy, moment.now, dates);
  }
};

Response error_response(const ErrorAnswer& answer, const SitePolicy& policy, const timespec& now,
                        DateCache& dates) {
  ResponseHead head = begin_head(answer.status, answer.keep_alive, policy, now, dates);
  if (!answer.extra.first.empty()) head.add(answer.extra.first, answer.extra.second);
  ErrorPage page = error_page(static_cast<unsigned>(answer.status), reason_phrase(answer.status),
                              answer.accepts_html);
  head.add("Content-Type", page.media_type);
  if (page.media_type == kPageMediaType) head.add("Content-Security-Policy", kPageSecurityPolicy);
  head.add("Content-Length", page.body.size());
  Response response{.status = answer.status,
                    .head = {},
                    .body = {},
                    .ranges = 0,
                    .keep_alive = answer.keep_alive};
  if (!answer.is_head) response.body.after = std::move(page.body);
  return finish(std::move(head), std::move(response));
}

Response redirect_response(std::string_view location, bool keep_alive, const SitePolicy& policy,
                           const timespec& now, DateCache& dates) {
  ResponseHead head = begin_head(308, keep_alive, policy, now, dates);
  head.add("Location", location);
  head.add("Content-Length", 0);
  return finish(std::move(head),
                {.status = 308, .head = {}, .body = {}, .ranges = 0, .keep_alive = keep_alive});
}

ktls::Result<Site> Site::open(const std::string& directory, const SitePolicy& policy) {
  auto root = DocumentRoot::open(directory, policy.documents);
  if (!root) return ktls::fail(std::move(root).error());
  return Site(*std::move(root), policy);
}

Response Site::answer(const Request& request, const Moment& moment, DateCache& dates) const {
  Asked asked{
      .request = request, .target = {}, .moment = moment, .dates = dates, .policy = *policy_};
  if (request.method == Method::kOther) {
    const bool is_known =
        std::ranges::find(kOtherMethods, request.method_token) != std::end(kOtherMethods);
    return is_known ? asked.refuse(405, {"Allow", kAllowed}) : asked.refuse(501);
  }
  auto target = parse_target(request.target);
  if (const auto* refusal = std::get_if<Refusal>(&target)) return asked.refuse(refusal->status);
  asked.target = std::get<Target>(std::move(target));

  auto found = root_.open(asked.target.relative_path());
  if (!found) return asked.refuse(503, {"Retry-After", "1"});
  if (auto* file = std::get_if<OpenFile>(&*found)) return answer_file(asked, std::move(*file));
  if (auto* directory = std::get_if<OpenDirectory>(&*found)) {
    return answer_directory(asked, std::move(*directory));
  }
  if (std::holds_alternative<SlashMissing>(*found)) {
    std::string location = percent_encode_path(asked.target.path) + "/";
    if (asked.target.query) location.append("?").append(*asked.target.query);
    return redirect_response(location, asked.keep_alive(), *policy_, moment.now, dates);
  }
  return asked.refuse(std::holds_alternative<Forbidden>(*found) ? 403 : 404);
}

std::vector<std::string> Site::paths_of(const Request& request) const {
  const auto target = parse_target(request.target);
  if (std::holds_alternative<Refusal>(target)) return {};
  const std::string path(std::get<Target>(target).relative_path());
  std::vector<std::string> paths;
  if (path.empty() || path.back() == '/') {
    for (const std::string& index : policy_->documents.index_names) paths.push_back(path + index);
  } else {
    paths.push_back(path);
  }
  if (!policy_->precompressed) return paths;
  const CodingOrder codings = codings_in_order(request.field(Field::kAcceptEncoding));
  const std::size_t originals = paths.size();
  for (std::size_t i = 0; i < originals; ++i) {
    for (const Coding coding : codings) {
      if (coding == Coding::kIdentity) break;
      paths.push_back(std::string(paths[i]).append(coding_suffix(coding)));
    }
  }
  return paths;
}

Response Site::answer_directory(Asked& asked, OpenDirectory directory) const {
  if (!policy_->listing) return asked.refuse(403);
  const std::string path = directory.path;
  auto entries = read_directory(root_, std::move(directory));
  if (!entries) return asked.refuse(503, {"Retry-After", "1"});
  std::string page = listing_page(asked.request.host(), path, *entries);
  ResponseHead head = asked.begin(200);
  head.add("Content-Type", kPageMediaType);
  head.add("Content-Security-Policy", kPageSecurityPolicy);
  head.add("Cache-Control", "no-cache");  // it is made anew, and has nothing to be validated by
  head.add("Content-Length", page.size());
  return asked.finish(200, std::move(head),
                      {.file = std::nullopt, .pieces = {}, .after = std::move(page)});
}

Coding Site::choose_variant(const Asked& asked, OpenFile& file) const {
  if (!policy_->precompressed) return Coding::kIdentity;
  for (const Coding coding : codings_in_order(asked.request.field(Field::kAcceptEncoding))) {
    if (coding == Coding::kIdentity) break;
    auto variant = root_.open_variant(file, coding);
    if (variant && *variant) {
      file = **std::move(variant);
      return coding;
    }
  }
  return Coding::kIdentity;
}

Response Site::answer_file(Asked& asked, OpenFile file) const {
  const std::string_view media_type = policy_->media_types.type_of(file.path);
  const Coding coding = choose_variant(asked, file);
  const std::string tag = tag_of(file.version, coding, asked.moment.now);
  const Seconds modified(std::chrono::seconds(file.version.last_modified(asked.moment.now)));
  const Representation representation{
      .exists = true, .tag = parse_entity_tag(tag), .modified = modified};
  const Seconds now = seconds_of(asked.moment.now);
  const Decision decision = evaluate(asked.request, representation, now);
  if (decision.verdict == Verdict::kPreconditionFailed) return asked.refuse(412);

  const auto range_field = asked.request.field(Field::kRange);
  const bool asks_for_part = decision.uses_range && !asked.is_head() && range_field.has_value();
  RangeAnswer range = asks_for_part ? parse_range(*range_field, file.version.size) : RangeAnswer();
  if (range.kind == RangeAnswer::Kind::kUnsatisfiable) {
    return asked.refuse(416, {"Content-Range", unsatisfied_content_range(file.version.size)});
  }
  const bool is_partial = range.kind == RangeAnswer::Kind::kPartial;
  const bool is_unmodified = decision.verdict == Verdict::kNotModified;
  const int status = is_unmodified ? 304 : is_partial ? 206 : 200;

  ResponseHead head = asked.begin(status);
  head.add("ETag", tag);
  head.add("Last-Modified", text(imf_fixdate(modified)));
  if (policy_->precompressed) head.add("Vary", "Accept-Encoding");
  const std::string_view cache = policy_->cache_rules.value_for(asked.target.path);
  if (!cache.empty()) head.add("Cache-Control", cache);
  if (is_unmodified) return asked.finish(304, std::move(head), {});

  head.add("Accept-Ranges", "bytes");
  if (coding != Coding::kIdentity) head.add("Content-Encoding", coding_name(coding));
  if (is_partial) {
    return answer_part(asked, std::move(file), std::move(range.ranges), std::move(head),
                       media_type);
  }
  const std::uint64_t size = file.version.size;
  head.add("Content-Type", media_type);
  head.add("Content-Length", size);
  ResponseBody body{.file = std::move(file), .pieces = {}, .after = {}};
  if (size != 0) body.pieces.push_back({.before = {}, .offset = 0, .size = size});
  return asked.finish(200, std::move(head), std::move(body));
}

Response Site::answer_part(Asked& asked, OpenFile file, std::vector<ByteRange> ranges,
                           ResponseHead head, std::string_view media_type) const {
  const std::uint64_t size = file.version.size;
  ResponseBody body{.file = std::move(file), .pieces = {}, .after = {}};
  const auto count = static_cast<unsigned>(ranges.size());
  if (count == 1) {
    const ByteRange& only = ranges.front();
    head.add("Content-Type", media_type);
    head.add("Content-Range", content_range(only, size));
    head.add("Content-Length", only.size());
    body.pieces.push_back({.before = {}, .offset = only.first, .size = only.size()});
  } else {
    const MultipartRanges parts(std::move(ranges), size, media_type, random_number());
    head.add("Content-Type", parts.content_type());
    head.add("Content-Length", parts.content_length());
    for (std::size_t i = 0; i < parts.ranges().size(); ++i) {
      const ByteRange& each = parts.ranges()[i];
      body.pieces.push_back(
          {.before = parts.part_head(i), .offset = each.first, .size = each.size()});
    }
    body.after = parts.end();
  }
  return asked.finish(206, std::move(head), std::move(body), count);
}

}  // namespace http
