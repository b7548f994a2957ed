// Error pages: a sentence for each status that the server sends.

#include "tools/http/error_page.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/http/markup.h"
#include "tools/http/page.h"

namespace http {
namespace {

struct Explanation {
  unsigned status;
  std::string_view sentence;
};

constexpr Explanation kExplanations[] = {
    {400, "The request is not HTTP as this server understands it."},
    {403, "The server may not read this file."},
    {404, "There is nothing at this address."},
    {405, "This server only gives files away: GET and HEAD."},
    {406, "The file is not to be had in a form that the request accepts."},
    {408, "The request did not arrive in time."},
    {412, "The file is not the version that the request asked for."},
    {413, "The request is too large."},
    {414, "The address is too long."},
    {416, "The file has no such part."},
    {417, "The server cannot meet what the request expects."},
    {421, "This server does not serve that host."},
    {429, "Too many requests in a short time: wait a moment."},
    {431, "The header of the request is too large."},
    {500, "The server failed. Its log says more."},
    {501, "The server does not know this method."},
    {503, "The server is busy: try again in a moment."},
    {505, "The server speaks HTTP/1.1."},
};

std::string_view sentence_for(unsigned status) {
  const auto* const row = std::find_if(std::begin(kExplanations), std::end(kExplanations),
                                       [&](const auto& each) { return each.status == status; });
  if (row != std::end(kExplanations)) return row->sentence;
  return status < 500 ? "The server cannot answer this request." : "The server failed.";
}

}  // namespace

ErrorPage error_page(unsigned status, std::string_view reason_phrase, bool accepts_html) {
  const std::string title = fmt::format("{} {}", status, reason_phrase);
  const std::string_view sentence = sentence_for(status);
  if (!accepts_html) return {"text/plain; charset=utf-8", fmt::format("{}: {}\n", title, sentence)};
  return {kPageMediaType, page(title, fmt::format("<main>\n<h1>{}</h1>\n<p>{}</p>\n</main>\n",
                                                  html_escaped(title), html_escaped(sentence)))};
}

}  // namespace http
