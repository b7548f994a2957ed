// Alert names against libssl's.
#include "userspace/suite/alert.h"

#include <cctype>
#include <string>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

namespace tls {
namespace {

// "unknown CA" as libssl says it, in the registry's spelling.
std::string openssl_name(int code) {
  std::string name = SSL_alert_desc_string_long(code);
  for (char& c : name) {
    c = c == ' ' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return name;
}

TEST(Alert, NamesAgreeWithLibsslForEveryNumber) {
  int named = 0;
  int compared = 0;
  for (int code = 0; code < 256; ++code) {
    const std::string ours(name_of(static_cast<AlertDescription>(code)));
    const std::string theirs = openssl_name(code);
    if (ours == "unknown") continue;
    ++named;
    // libssl 3.0 has no words for some of the newer numbers.
    if (theirs == "unknown") continue;
    EXPECT_EQ(ours, theirs) << code;
    ++compared;
  }
  EXPECT_EQ(named, 28);
  EXPECT_GE(compared, 20);
}

TEST(Alert, AnUnknownNumberIsSaidToBeUnknown) {
  EXPECT_EQ(name_of(static_cast<AlertDescription>(255)), "unknown");
}

}  // namespace
}  // namespace tls
