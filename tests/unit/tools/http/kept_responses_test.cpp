// What is kept must be what would be answered anew.
#include "tools/http/kept_responses.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tests/unit/tools/http/document_tree.h"
#include "tools/http/request.h"
#include "tools/http/site.h"

namespace http {
namespace {

using Kept = std::shared_ptr<const KeptResponse>;

class KeptResponsesTest : public DocumentTree {
 protected:
  void SetUp() override {
    DocumentTree::SetUp();
    auto opened = Site::open(root(), policy_);
    ASSERT_TRUE(opened);
    site_ = std::make_unique<Site>(*std::move(opened));
    now_ = now_realtime();
    now_.tv_sec += 60;  // as if all files were a minute old
  }

  KeptResponses::Answer answer(const std::string& target, std::string_view fields = "",
                               std::string_view method = "GET") {
    received_.push_back(std::make_unique<std::string>(std::string(method) + " " + target +
                                                      " HTTP/1.1\r\nHost: h\r\n" +
                                                      std::string(fields) + "\r\n"));
    RequestReader reader;
    auto read = reader.read(*received_.back());
    const auto* const request = std::get_if<Request>(&read);
    if (request == nullptr) {
      ADD_FAILURE() << "no request: " << *received_.back();
      return Response{};
    }
    return kept_.answer(*site_, *request, {.now = now_, .keep_alive = true}, dates_);
  }

  // The text of a kept response; empty if it was not kept.
  std::string text(const std::string& target, std::string_view fields = "") {
    const auto answered = answer(target, fields);
    const auto* const kept = std::get_if<Kept>(&answered);
    return kept == nullptr ? "" : (*kept)->text;
  }
  std::string body(const std::string& target, std::string_view fields = "") {
    const std::string whole = text(target, fields);
    return whole.empty() ? "" : whole.substr(whole.find("\r\n\r\n") + 4);
  }

  SitePolicy policy_;
  std::unique_ptr<Site> site_;
  KeptResponses kept_;
  DateCache dates_;
  timespec now_{};

 private:
  std::vector<std::unique_ptr<std::string>> received_;
};

TEST_F(KeptResponsesTest, IsWhatTheSiteAnswers) {
  file("a.txt", "hello");
  const std::string first = text("/a.txt");
  EXPECT_EQ(text("/a.txt"), first);
  EXPECT_EQ(kept_.size(), 1U);
  auto fresh = answer("/a.txt", "Range: bytes=0-9\r\n");
  const auto* const response = std::get_if<Response>(&fresh);
  ASSERT_NE(response, nullptr);
  EXPECT_EQ(response->status, 206);
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_TRUE(first.ends_with("\r\n\r\nhello"));
}

TEST_F(KeptResponsesTest, KnowsWhereTheHeadEnds) {
  file("a.txt", "hello");
  const auto answered = answer("/a.txt");
  const Kept& kept = std::get<Kept>(answered);
  EXPECT_EQ(kept->text.substr(kept->head_size), "hello");
}

TEST_F(KeptResponsesTest, FollowsAFileThatIsOverwritten) {
  file("a.txt", "one");
  EXPECT_EQ(body("/a.txt"), "one");
  file("a.txt", "two");
  now_.tv_sec += 60;
  EXPECT_EQ(body("/a.txt"), "two");
  EXPECT_EQ(kept_.size(), 1U);
}

TEST_F(KeptResponsesTest, FollowsAFileThatIsReplaced) {
  file("a.txt", "one");
  EXPECT_EQ(body("/a.txt"), "one");
  file("b.txt", "two");
  std::filesystem::rename(at("b.txt"), at("a.txt"));
  now_.tv_sec += 60;
  EXPECT_EQ(body("/a.txt"), "two");
}

TEST_F(KeptResponsesTest, FollowsASwitchedSymbolicLink) {
  file("v1/a.txt", "one");
  file("v2/a.txt", "two");
  link("v1", "current");
  EXPECT_EQ(body("/current/a.txt"), "one");
  std::filesystem::remove(at("current"));
  link("v2", "current");
  EXPECT_EQ(body("/current/a.txt"), "two");
}

// Neither inode nor time stamps of the files in a directory change when it is moved.
TEST_F(KeptResponsesTest, SendsNothingFromADirectoryThatWasMovedOutAndLinked) {
  const std::string outside = root() + "-outside";
  file("docs/a.txt", "secret");
  EXPECT_EQ(body("/docs/a.txt"), "secret");
  std::filesystem::rename(at("docs"), outside);
  link(outside, "docs");
  const auto answered = answer("/docs/a.txt");
  std::filesystem::remove_all(outside);
  ASSERT_TRUE(std::holds_alternative<Response>(answered));
  EXPECT_EQ(std::get<Response>(answered).status, 404);
  EXPECT_EQ(kept_.size(), 0U);
}

TEST_F(KeptResponsesTest, FollowsTheTargetOfALink) {
  file("docs/a.txt", "one");
  link("docs/a.txt", "a.txt");
  EXPECT_EQ(body("/a.txt"), "one");
  EXPECT_EQ(kept_.size(), 1U);
  file("docs/a.txt", "two");
  now_.tv_sec += 60;
  EXPECT_EQ(body("/a.txt"), "two");
}

TEST_F(KeptResponsesTest, SendsNothingThroughALinkThatPolicyRefuses) {
  policy_.documents.symlinks = SymlinkPolicy::kNever;
  auto opened = Site::open(root(), policy_);
  ASSERT_TRUE(opened);
  site_ = std::make_unique<Site>(*std::move(opened));
  file("docs/a.txt", "one");
  EXPECT_EQ(body("/docs/a.txt"), "one");
  std::filesystem::rename(at("docs"), at("moved"));
  link("moved", "docs");
  const auto answered = answer("/docs/a.txt");
  ASSERT_TRUE(std::holds_alternative<Response>(answered));
  EXPECT_EQ(std::get<Response>(answered).status, 404);
}

TEST_F(KeptResponsesTest, SeesTheTargetOfALinkThatComesLater) {
  file("a.txt", "plain");
  link("packed/a.gz", "a.txt.gz");
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "plain");
  file("packed/a.gz", "packed");
  now_.tv_sec += 60;
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "packed");
}

TEST_F(KeptResponsesTest, ForgetsAFileThatIsGone) {
  file("a.txt");
  EXPECT_NE(text("/a.txt"), "");
  std::filesystem::remove(at("a.txt"));
  const auto answered = answer("/a.txt");
  ASSERT_TRUE(std::holds_alternative<Response>(answered));
  EXPECT_EQ(std::get<Response>(answered).status, 404);
  EXPECT_EQ(kept_.size(), 0U);
}

TEST_F(KeptResponsesTest, AsksAnewForAFileWhosePermissionsChanged) {
  file("a.txt");
  const Kept before = std::get<Kept>(answer("/a.txt"));
  std::filesystem::permissions(at("a.txt"), std::filesystem::perms::owner_write);
  now_.tv_sec += 60;
  const auto answered = answer("/a.txt");
  if (const auto* const response = std::get_if<Response>(&answered)) {
    EXPECT_EQ(response->status, 403);
  } else {  // root may read everything
    EXPECT_NE(std::get<Kept>(answered), before);
  }
}

TEST_F(KeptResponsesTest, KeepsNothingThatWasWrittenJustNow) {
  file("a.txt");
  now_ = now_realtime();
  EXPECT_EQ(text("/a.txt"), "");
  now_.tv_sec += 60;
  EXPECT_NE(text("/a.txt"), "");
}

TEST_F(KeptResponsesTest, KeepsNothingWhoseLastModifiedChangesWithTime) {
  file("a.txt");
  set_modified("a.txt", {.tv_sec = now_.tv_sec + 3600, .tv_nsec = 0});
  EXPECT_EQ(text("/a.txt"), "");
}

TEST_F(KeptResponsesTest, FollowsTheDate) {
  file("a.txt");
  const std::string first = text("/a.txt");
  now_.tv_sec += 1;
  const std::string second = text("/a.txt");
  EXPECT_NE(first, second);
  DateCache dates;
  EXPECT_NE(second.find(std::string("\r\nDate: ") +
                        std::string(dates.at(Seconds(std::chrono::seconds(now_.tv_sec)))) + "\r\n"),
            std::string::npos);
}

TEST_F(KeptResponsesTest, ChangesNoDateOfAResponseThatIsBeingSent) {
  file("a.txt");
  const auto answered = answer("/a.txt");
  const Kept sending = std::get<Kept>(answered);
  const std::string before = sending->text;
  now_.tv_sec += 1;
  EXPECT_NE(text("/a.txt"), before);
  EXPECT_EQ(sending->text, before);
}

TEST_F(KeptResponsesTest, TellsCodingsApart) {
  file("a.txt", "plain");
  file("a.txt.gz", "packed");
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "packed");
  EXPECT_EQ(body("/a.txt"), "plain");
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "packed");
}

TEST_F(KeptResponsesTest, SeesAVariantThatComesLater) {
  file("a.txt", "plain");
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "plain");
  file("a.txt.gz", "packed");
  now_.tv_sec += 60;
  EXPECT_EQ(body("/a.txt", "Accept-Encoding: gzip\r\n"), "packed");
}

TEST_F(KeptResponsesTest, KeepsTheIndexOfADirectory) {
  file("docs/index.html", "index");
  EXPECT_EQ(body("/docs/"), "index");
  EXPECT_EQ(kept_.size(), 1U);
  file("docs/index.html", "other");
  now_.tv_sec += 60;
  EXPECT_EQ(body("/docs/"), "other");
}

TEST_F(KeptResponsesTest, LeavesConditionsRangesAndQueriesToTheSite) {
  file("a.txt");
  for (const char* const fields :
       {"Range: bytes=0-0\r\n", "If-None-Match: \"x\"\r\n", "If-Match: *\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "If-Range: \"x\"\r\n",
        "If-Unmodified-Since: Sun, 06 Nov 2094 08:49:37 GMT\r\n", "Connection: close\r\n"}) {
    EXPECT_EQ(text("/a.txt", fields), "") << fields;
  }
  EXPECT_EQ(text("/a.txt?q"), "");
  EXPECT_TRUE(std::holds_alternative<Response>(answer("/a.txt", "", "HEAD")));
  EXPECT_EQ(kept_.size(), 0U);
}

TEST_F(KeptResponsesTest, LeavesLargeFilesToTheSystem) {
  file("a.bin", std::string(kKeptSizeMax, 'x'));
  file("b.bin", std::string(kKeptSizeMax + 1, 'x'));
  EXPECT_EQ(body("/a.bin").size(), kKeptSizeMax);
  EXPECT_EQ(text("/b.bin"), "");
}

TEST_F(KeptResponsesTest, KeepsNoMoreThanItMay) {
  for (std::size_t i = 0; i <= kKeptMax; ++i) {
    const std::string name = "file" + std::to_string(i);
    file(name, name);
    EXPECT_EQ(body("/" + name), name);
    EXPECT_EQ(body("/file0"), "file0");  // used all the time, so that it stays
  }
  EXPECT_EQ(kept_.size(), kKeptMax);
  const Kept first = std::get<Kept>(answer("/file0"));
  EXPECT_EQ(first, std::get<Kept>(answer("/file0")));
}

}  // namespace
}  // namespace http
