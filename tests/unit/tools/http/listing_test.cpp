#include "tools/http/listing.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/tools/http/document_tree.h"

namespace http {
namespace {

class ReadDirectory : public DocumentTree {
 protected:
  [[nodiscard]] DirectoryEntries read(std::string_view path, DocumentPolicy policy = {},
                                      std::size_t entries_max = kEntriesMax) const {
    policy.index_names.clear();
    const DocumentRoot root = std::move(DocumentRoot::open(this->root(), policy)).value();
    auto directory = std::move(root.open(path)).value();
    return std::move(
               read_directory(root, std::get<OpenDirectory>(std::move(directory)), entries_max))
        .value();
  }
  static std::vector<std::string> names(const DirectoryEntries& contents) {
    std::vector<std::string> all;
    for (const DirectoryEntry& entry : contents.entries) {
      all.push_back(entry.name + (entry.is_directory ? "/" : ""));
    }
    return all;
  }
  using Names = std::vector<std::string>;
};

TEST_F(ReadDirectory, PutsDirectoriesFirstAndThenGoesByName) {
  for (const std::string_view name : {"b", "A", "a", "C", "a.txt", "\xff", "10"}) file(name);
  directory("z");
  directory("Y");
  EXPECT_EQ(names(read("")), (Names{"Y/", "z/", "10", "A", "a", "a.txt", "b", "C", "\xff"}));
}

TEST_F(ReadDirectory, TellsSizesAndTimes) {
  file("sub/a", "12345");
  set_modified("sub/a", {1'700'000'000, 7});
  const DirectoryEntries contents = read("sub/");
  ASSERT_EQ(contents.entries.size(), 1U);
  EXPECT_EQ(contents.entries[0].size, 5U);
  EXPECT_EQ(contents.entries[0].modified, 1'700'000'000);
  EXPECT_EQ(contents.more, 0U);
  EXPECT_FALSE(contents.more_at_least);
}

TEST_F(ReadDirectory, ListsOnlyWhatWouldBeServed) {
  file("sub/a");
  file("sub/.hidden");
  file("other", "12345678");
  link("../other", "sub/link");
  link("..", "sub/parent");
  link("/etc/passwd", "sub/leaves");
  link("nothing", "sub/dangling");
  ASSERT_EQ(::mkfifo(at("sub/fifo").c_str(), 0600), 0);
  const DirectoryEntries contents = read("sub/");
  EXPECT_EQ(names(contents), (Names{"parent/", "a", "link"}));
  EXPECT_EQ(contents.entries[2].size, 8U) << "of the target, not of the link";
  EXPECT_EQ(names(read("sub/", {.symlinks = SymlinkPolicy::kNever})), (Names{"a"}));
  EXPECT_EQ(names(read("sub/", {.dot_files = true})), (Names{"parent/", ".hidden", "a", "link"}));
}

TEST_F(ReadDirectory, ShowsTheWellKnownDirectoryAtTheTopOnly) {
  file(".well-known/a");
  file("sub/.well-known/a");
  EXPECT_EQ(names(read("")), (Names{".well-known/", "sub/"}));
  EXPECT_EQ(names(read("sub/")), Names{});
}

TEST_F(ReadDirectory, StopsAtItsLimitAndCountsTheRest) {
  for (int i = 0; i < 25; ++i) file("f" + std::to_string(i));
  const DirectoryEntries contents = read("", {}, 10);
  EXPECT_EQ(contents.entries.size(), 10U);
  EXPECT_EQ(contents.more, 15U);
}

TEST(SizeText, KeepsFourDigits) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1024), "1.0 KiB");
  EXPECT_EQ(size_text(1536), "1.5 KiB");
  EXPECT_EQ(size_text(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(size_text(1'000'000), "976.6 KiB");
  EXPECT_EQ(size_text(5ULL << 40), "5.0 TiB");
  EXPECT_EQ(size_text(~0ULL), "16.0 EiB");
}

bool holds(const std::string& page, std::string_view text) {
  return page.find(text) != std::string::npos;
}

TEST(ListingPage, LinksEachEntryWithItsSizeAndTime) {
  const std::string page =
      listing_page("example.org", "a/b/",
                   {{{"docs", true, 4096, 0}, {"x y.txt", false, 1'234'567, 1'700'000'000}}, 0});
  EXPECT_TRUE(holds(page, "<title>Index of /a/b/</title>"));
  EXPECT_TRUE(holds(page, "<a href=\"../\">"));
  EXPECT_TRUE(holds(page, "<a href=\"./docs/\">"));
  EXPECT_TRUE(holds(page,
                    "<bdi>docs/</bdi></a><time datetime=\"1970-01-01T00:00:00Z\">"
                    "1970-01-01 00:00</time></li>"));
  EXPECT_TRUE(holds(page, "<a href=\"./x%20y.txt\">"));
  EXPECT_TRUE(holds(page,
                    "<time datetime=\"2023-11-14T22:13:20Z\">2023-11-14 22:13</time>"
                    "<data value=\"1234567\" title=\"1,234,567 bytes\">1.2 MiB</data></li>"));
  EXPECT_TRUE(holds(page, "1 folder, 1 file, 1.2 MiB. Times are UTC."));
}

TEST(ListingPage, LeadsBackThroughBreadcrumbs) {
  const std::string page = listing_page("example.org", "a b/<c>/", {});
  EXPECT_TRUE(holds(page,
                    "<a href=\"/\"><bdi>example.org</bdi></a><i>/</i>"
                    "<a href=\"/a%20b/\"><bdi>a b</bdi></a><i>/</i>"
                    "<bdi aria-current=\"page\">&lt;c&gt;</bdi>"));
  const std::string top = listing_page("", "", {});
  EXPECT_TRUE(holds(top, "<h1><bdi aria-current=\"page\">/</bdi></h1>"));
  EXPECT_TRUE(holds(top, "This directory is empty."));
  EXPECT_FALSE(holds(top, "../"));
}

TEST(ListingPage, LetsNoNameBecomeMarkup) {
  const std::string hostile = "\"><script>alert(1)</script>&'\n\xff";
  const std::string page = listing_page(hostile, hostile + "/", {{{hostile, false, 1, 0}}, 0});
  EXPECT_FALSE(holds(page, "<script"));
  EXPECT_FALSE(holds(page, "\xff"));
  EXPECT_TRUE(holds(page, "href=\"./%22%3E%3Cscript%3Ealert%281%29%3C/script%3E%26%27%0A%FF\""));
  EXPECT_TRUE(holds(page,
                    "<bdi>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#39;"
                    "\xef\xbf\xbd\xef\xbf\xbd</bdi>"));
}

TEST(ListingPage, SaysHowManyNamesAreMissing) {
  EXPECT_FALSE(holds(listing_page("", "a/", {}), "not listed"));
  EXPECT_TRUE(holds(listing_page("", "a/", {{}, 1}), "<footer>1 more name is not listed."));
  EXPECT_TRUE(holds(listing_page("", "a/", {{}, 95'000, true}),
                    "<footer>At least 95,000 more names are not listed."));
}

TEST(ListingPage, NeedsNothingFromElsewhere) {
  const std::string page = listing_page("example.org", "a/", {{{"b", true, 0, 0}}, 0});
  for (const std::string_view foreign : {"http:", "https:", "//", "<script", "<link", "<img",
                                         "style=", "onload", "url(", "@import"}) {
    EXPECT_FALSE(holds(page, foreign)) << foreign;
  }
}

TEST(ListingPage, SurvivesATimeBeyondAllCalendars) {
  const std::string page =
      listing_page("", "", {{{"a", false, 1, std::numeric_limits<std::time_t>::max()}}, 0});
  EXPECT_TRUE(holds(page, "<time></time>"));
}

}  // namespace
}  // namespace http
