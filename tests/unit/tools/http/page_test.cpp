#include "tools/http/page.h"

#include <array>
#include <string>

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include "tools/http/error_page.h"

namespace http {
namespace {

std::string sha256_base64(std::string_view text) {
  std::array<unsigned char, 32> hash{};
  EXPECT_EQ(::EVP_Digest(text.data(), text.size(), hash.data(), nullptr, ::EVP_sha256(), nullptr),
            1);
  std::array<unsigned char, 45> encoded{};
  const int size = ::EVP_EncodeBlock(encoded.data(), hash.data(), hash.size());
  return {encoded.begin(), encoded.begin() + size};
}

TEST(Page, HasTheStyleThatItsPolicyAllows) {
  const std::string policy(kPageSecurityPolicy);
  EXPECT_EQ(policy.rfind("default-src 'none';", 0), 0U);
  EXPECT_NE(policy.find("style-src 'sha256-" + sha256_base64(kPageStyle) + "';"), std::string::npos)
      << "the hash is now " << sha256_base64(kPageStyle);
  // What a browser hashes is all that stands between the two tags.
  EXPECT_NE(page("title", "").find("<style>" + std::string(kPageStyle) + "</style>"),
            std::string::npos);
}

TEST(Page, EscapesItsTitle) {
  EXPECT_NE(page("</title><b>", "").find("<title>&lt;/title&gt;&lt;b&gt;</title>"),
            std::string::npos);
}

TEST(ErrorPage, IsHtmlForThoseWhoAcceptIt) {
  const ErrorPage html = error_page(404, "Not Found", true);
  EXPECT_EQ(html.media_type, "text/html; charset=utf-8");
  EXPECT_NE(html.body.find("<title>404 Not Found</title>"), std::string::npos);
  EXPECT_NE(html.body.find("<h1>404 Not Found</h1>\n<p>There is nothing at this address.</p>"),
            std::string::npos);
}

TEST(ErrorPage, IsOneLineOfTextForAllOthers) {
  const ErrorPage text = error_page(404, "Not Found", false);
  EXPECT_EQ(text.media_type, "text/plain; charset=utf-8");
  EXPECT_EQ(text.body, "404 Not Found: There is nothing at this address.\n");
}

TEST(ErrorPage, HasASentenceForEveryStatus) {
  EXPECT_EQ(error_page(418, "I'm a teapot", false).body,
            "418 I'm a teapot: The server cannot answer this request.\n");
  EXPECT_EQ(error_page(599, "Odd", false).body, "599 Odd: The server failed.\n");
  EXPECT_NE(error_page(418, "I'm a teapot", true).body.find("I&#39;m"), std::string::npos);
}

}  // namespace
}  // namespace http
