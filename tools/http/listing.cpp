// Listing: breadcrumbs, one row an entry, and a line that sums up.

#include "tools/http/listing.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>

#include <fmt/format.h>

#include "tools/http/markup.h"
#include "tools/http/page.h"
#include "tools/http/target.h"

namespace http {
namespace {

// Drawn once and referred to by each row.
constexpr std::string_view kSymbols =
    "<svg class=\"symbols\" aria-hidden=\"true\">\n"
    "<symbol id=\"folder\" viewBox=\"0 0 20 24\"><path d=\"M2 6.5a1 1 0 0 1 1-1h4.5l2 2.5H17a1 1 "
    "0 0 1 1 1v8.5a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1z\"/></symbol>\n"
    "<symbol id=\"file\" viewBox=\"0 0 20 24\"><path d=\"M4 4.5a1 1 0 0 1 1-1h6.5l4.5 "
    "4.5v11.5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1zM11.5 3.5v4.5H16\"/></symbol>\n"
    "<symbol id=\"up\" viewBox=\"0 0 20 24\"><path d=\"M5 10l5-5 5 5M10 5v14\"/></symbol>\n"
    "</svg>\n";

// 1234567 as "1,234,567".
std::string grouped(std::uint64_t number) {
  std::string digits = fmt::to_string(number);
  for (std::size_t end = digits.size(); end > 3; end -= 3) digits.insert(end - 3, 1, ',');
  return digits;
}

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", grouped(count), count == 1 ? one : many);
}

std::string time_element(std::time_t modified) {
  std::tm utc{};
  // A file system may claim a year that no calendar has.
  if (::gmtime_r(&modified, &utc) == nullptr) return "<time></time>";
  std::array<char, 64> machine{};
  std::array<char, 64> people{};
  ::strftime(machine.data(), machine.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  ::strftime(people.data(), people.size(), "%Y-%m-%d %H:%M", &utc);
  return fmt::format("<time datetime=\"{}\">{}</time>", machine.data(), people.data());
}

std::string icon(std::string_view name) {
  return fmt::format("<svg class=\"{0}\" aria-hidden=\"true\"><use href=\"#{0}\"/></svg>", name);
}

std::string row(const DirectoryEntry& entry) {
  const std::string_view slash = entry.is_directory ? "/" : "";
  std::string text =
      fmt::format("<li><a href=\"./{}{}\">{}<bdi>{}{}</bdi></a>{}", percent_encode_path(entry.name),
                  slash, icon(entry.is_directory ? "folder" : "file"), html_escaped(entry.name),
                  slash, time_element(entry.modified));
  // The size of a directory says nothing about what is in it.
  if (!entry.is_directory) {
    fmt::format_to(std::back_inserter(text), "<data value=\"{}\" title=\"{}\">{}</data>",
                   entry.size, counted(entry.size, "byte", "bytes"), size_text(entry.size));
  }
  return text + "</li>\n";
}

std::string breadcrumbs(std::string_view site, std::string_view path) {
  const std::string root = site.empty() ? "/" : html_escaped(site);
  if (path.empty()) return fmt::format("<bdi aria-current=\"page\">{}</bdi>", root);
  std::string text = fmt::format("<a href=\"/\"><bdi>{}</bdi></a>", root);
  std::string reference = "/";
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    reference += percent_encode_path(name) + "/";
    begin = end + 1;
    text += "<i>/</i>";
    text += begin < path.size()
                ? fmt::format("<a href=\"{}\"><bdi>{}</bdi></a>", reference, html_escaped(name))
                : fmt::format("<bdi aria-current=\"page\">{}</bdi>", html_escaped(name));
  }
  return text;
}

std::string summary(const DirectoryEntries& contents) {
  const auto directories =
      static_cast<std::uint64_t>(std::count_if(contents.entries.begin(), contents.entries.end(),
                                               [](const auto& each) { return each.is_directory; }));
  std::uint64_t size = 0;
  for (const DirectoryEntry& entry : contents.entries) size += entry.is_directory ? 0 : entry.size;
  std::string text =
      fmt::format("{}, {}, {}. Times are UTC.", counted(directories, "folder", "folders"),
                  counted(contents.entries.size() - directories, "file", "files"), size_text(size));
  if (contents.more == 0 && !contents.more_at_least) return text;
  return fmt::format("{}</footer>\n<footer>{}{} not listed.", text,
                     contents.more_at_least ? "At least " : "",
                     counted(contents.more, "more name is", "more names are"));
}

}  // namespace

std::string size_text(std::uint64_t size_bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
  std::size_t unit = 0;
  double size = static_cast<double>(size_bytes) / 1024;
  // 1023.95 would be written as 1024.0 of the smaller unit.
  for (; size >= 1023.95 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string listing_page(std::string_view site, std::string_view path,
                         const DirectoryEntries& contents) {
  constexpr std::size_t kRowSizeTypical = 320;
  std::string body;
  body.reserve(contents.entries.size() * kRowSizeTypical + 1024);
  body.append(kSymbols).append("<nav aria-label=\"Path\"><h1>").append(breadcrumbs(site, path));
  body += "</h1></nav>\n<main>\n";
  if (path.empty() && contents.entries.empty()) {
    body += "<p>This directory is empty.</p>\n";
  } else {
    body += "<ul role=\"list\">\n";  // Safari forgets that a list without bullets is one
    if (!path.empty()) {
      body += "<li><a href=\"../\">" + icon("up") + "<bdi>Parent directory</bdi></a></li>\n";
    }
    for (const DirectoryEntry& entry : contents.entries) body += row(entry);
    body += "</ul>\n";
  }
  body.append("</main>\n<footer>").append(summary(contents)).append("</footer>\n");
  return page(fmt::format("Index of /{}", path), body);
}

}  // namespace http
