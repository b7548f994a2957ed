#include "tools/http/media_types.h"

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/tools/http/document_tree.h"

namespace http {
namespace {

class MediaTypesTest : public DocumentTree {
 protected:
  [[nodiscard]] MediaTypes loaded(std::string_view content) const {
    return MediaTypes::load(file("mime.types", content));
  }
};

TEST_F(MediaTypesTest, AreReadFromTheTableOfTheSystem) {
  const MediaTypes types = loaded(
      "# remark\n\n"
      "application/gzip\t\t\tgz\n"
      "application/atf ATF\n"
      "application/x-nothing\n"
      "image/jpeg jpeg jpg jpe # jfif\r\n"
      "no-type oops\n"
      "text/html html");
  EXPECT_FALSE(types.fallback_reason());
  EXPECT_EQ(types.type_of("a.gz"), "application/gzip");
  EXPECT_EQ(types.type_of("a.atf"), "application/atf");
  EXPECT_EQ(types.type_of("a.jpe"), "image/jpeg");
  EXPECT_EQ(types.type_of("a.jfif"), "application/octet-stream");
  EXPECT_EQ(types.type_of("a.oops"), "application/octet-stream");
  EXPECT_EQ(types.type_of("a.html"), "text/html; charset=utf-8");
}

TEST_F(MediaTypesTest, GoByTheLastExtensionInAnyCase) {
  const MediaTypes types = loaded("text/html html\napplication/gzip gz\nimage/png png\n");
  EXPECT_EQ(types.type_of("deep/er/page.html.gz"), "application/gzip");
  EXPECT_EQ(types.type_of("PHOTO.PnG"), "image/png");
  for (const std::string_view unknown :
       {"", "README", "dir.png/README", ".png", "a/.png", "a.", "a.unknown", "a.png/"}) {
    EXPECT_EQ(types.type_of(unknown), "application/octet-stream") << unknown;
  }
  EXPECT_EQ(types.type_of("a." + std::string(5000, 'x')), "application/octet-stream");
}

TEST_F(MediaTypesTest, SayUtf8OfWhatIsText) {
  const MediaTypes types = loaded(
      "text/css css\napplication/javascript js\napplication/json json\napplication/xml xml\n"
      "image/svg+xml svg\napplication/manifest+json webmanifest\nimage/png png\n");
  EXPECT_EQ(types.type_of("a.css"), "text/css; charset=utf-8");
  EXPECT_EQ(types.type_of("a.js"), "application/javascript; charset=utf-8");
  EXPECT_EQ(types.type_of("a.json"), "application/json; charset=utf-8");
  EXPECT_EQ(types.type_of("a.xml"), "application/xml; charset=utf-8");
  EXPECT_EQ(types.type_of("a.svg"), "image/svg+xml; charset=utf-8");
  EXPECT_EQ(types.type_of("a.webmanifest"), "application/manifest+json; charset=utf-8");
  EXPECT_EQ(types.type_of("a.png"), "image/png");
}

TEST_F(MediaTypesTest, FallBackToABuiltInTableAndSayWhy) {
  const MediaTypes missing = MediaTypes::load(at("no-such-file"));
  ASSERT_TRUE(missing.fallback_reason());
  EXPECT_EQ(missing.fallback_reason()->sys_errno, ENOENT);
  EXPECT_EQ(missing.fallback_reason()->detail, at("no-such-file"));
  EXPECT_EQ(missing.type_of("index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(missing.type_of("a.woff2"), "font/woff2");
  EXPECT_EQ(missing.type_of("a.mjs"), "text/javascript; charset=utf-8");

  const MediaTypes empty = loaded("# nothing\n");
  ASSERT_TRUE(empty.fallback_reason());
  EXPECT_NE(empty.fallback_reason()->message().find("names no media type"), std::string::npos);
  EXPECT_EQ(empty.type_of("a.png"), "image/png");
}

TEST_F(MediaTypesTest, GiveWayToRulesOfTheOperator) {
  MediaTypes types = loaded("text/vnd.trolltech.linguist ts\ntext/html html\n");
  ASSERT_TRUE(types.add("ts=video/mp2t"));
  ASSERT_TRUE(types.add(".HTML=text/html; charset=iso-8859-1"));
  ASSERT_TRUE(types.add("md=text/markdown"));
  EXPECT_EQ(types.type_of("a.ts"), "video/mp2t");
  EXPECT_EQ(types.type_of("a.html"), "text/html; charset=iso-8859-1");
  EXPECT_EQ(types.type_of("a.md"), "text/markdown; charset=utf-8");
}

TEST_F(MediaTypesTest, RefuseRulesThatCannotBeMeant) {
  MediaTypes types = loaded("text/html html\n");
  for (const std::string_view rule :
       {"", "md", "md=", "=text/plain", ".=text/plain", "md=text", "md=/plain", "md=text/",
        "tar.gz=application/gzip", "a/b=text/plain", "md=text/pl ain", "md=text/plain\r\nX: y",
        "md=text/plain; a=\n"}) {
    const auto added = types.add(rule);
    ASSERT_FALSE(added) << rule;
    EXPECT_EQ(added.error().code, ktls::ErrorCode::kInvalidArgument);
    EXPECT_NE(added.error().detail.find("expected EXT=TYPE"), std::string::npos);
  }
}

}  // namespace
}  // namespace http
