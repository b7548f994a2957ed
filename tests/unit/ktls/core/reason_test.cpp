// The table of reasons, row by row, and the errnos that lead to it.
#include "ktls/core/reason.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <string_view>

#include <gtest/gtest.h>

namespace ktls {
namespace {

// Scripts match on these; a change here is a change of an interface.
constexpr std::string_view kCodes[] = {"none",
                                       "policy_never",
                                       "ulp_unavailable",
                                       "ulp_refused",
                                       "other_ulp",
                                       "not_tcp",
                                       "not_established",
                                       "version_not_in_kernel",
                                       "cipher_not_in_kernel",
                                       "cipher_module_missing",
                                       "install_refused",
                                       "rekey_impossible",
                                       "sequence_unknown",
                                       "pipe_limit",
                                       "record_size_limited",
                                       "key_budget_spent",
                                       "key_missing",
                                       "key_update_flood",
                                       "holders_hidden",
                                       "secrets_lost"};

TEST(ReasonTexts, HaveOneRowForEachReasonInTheirOrder) {
  const auto texts = reason_texts();
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(Reason::kSecretsLost) + 1);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(texts[i].reason, static_cast<Reason>(i));
    EXPECT_EQ(&text_of(static_cast<Reason>(i)), &texts[i]);
  }
}

TEST(ReasonTexts, HaveUniqueCodesInLowerSnakeCase) {
  std::set<std::string_view> codes;
  for (const ReasonText& text : reason_texts()) {
    EXPECT_TRUE(codes.insert(text.code).second) << text.code;
    EXPECT_TRUE(std::ranges::all_of(text.code, [](char c) {
      return (c >= 'a' && c <= 'z') || c == '_';
    })) << text.code;
    EXPECT_FALSE(text.code.starts_with('_') || text.code.ends_with('_')) << text.code;
  }
}

TEST(ReasonTexts, KeepTheirCodes) {
  EXPECT_TRUE(std::ranges::equal(reason_texts(), kCodes, {}, &ReasonText::code));
}

TEST(ReasonTexts, SayWhatIsWrongAndWhatHelpsWithoutAFullStop) {
  std::set<std::string_view> sentences;
  for (const ReasonText& text : reason_texts()) {
    EXPECT_GT(text.sentence.size(), 20U) << text.code;
    EXPECT_GE(text.remedy.size(), 10U) << text.code;
    EXPECT_FALSE(text.sentence.ends_with('.')) << text.code;
    EXPECT_FALSE(text.remedy.ends_with('.')) << text.code;
    EXPECT_TRUE(sentences.insert(text.sentence).second) << text.code;
  }
}

TEST(ReasonTexts, NameTheCommandThatLoadsTheModule) {
  const ReasonText& text = text_of(Reason::kUlpUnavailable);
  EXPECT_NE(text.remedy.find("modprobe tls"), std::string_view::npos);
  EXPECT_NE(text.remedy.find("/etc/modules-load.d"), std::string_view::npos);
}

TEST(ReasonOfAttach, TellsTheErrnosApart) {
  EXPECT_EQ(reason_of_attach(0), Reason::kNone);
  EXPECT_EQ(reason_of_attach(ENOENT), Reason::kUlpUnavailable);
  EXPECT_EQ(reason_of_attach(EEXIST), Reason::kOtherUlp);
  EXPECT_EQ(reason_of_attach(ENOTCONN), Reason::kNotEstablished);
  for (const int not_tcp : {ENOPROTOOPT, EOPNOTSUPP, ENOTSOCK}) {
    EXPECT_EQ(reason_of_attach(not_tcp), Reason::kNotTcp) << not_tcp;
  }
  for (const int refused : {EPERM, EACCES, EINVAL, ENOMEM, EMFILE, ENFILE, EBADF, EBUSY}) {
    EXPECT_EQ(reason_of_attach(refused), Reason::kUlpRefused) << refused;
  }
}

TEST(ReasonOfInstall, TellsTheErrnosApart) {
  EXPECT_EQ(reason_of_install(0), Reason::kNone);
  EXPECT_EQ(reason_of_install(ENOENT), Reason::kCipherModuleMissing);
  EXPECT_EQ(reason_of_install(EBUSY), Reason::kRekeyImpossible);
  for (const int refused : {EINVAL, ENOMEM, EPERM, ENOPROTOOPT, EFAULT, EMFILE}) {
    EXPECT_EQ(reason_of_install(refused), Reason::kInstallRefused) << refused;
  }
}

TEST(Placement, HasANameForLogs) {
  EXPECT_EQ(name_of(Placement::kUserspace), "userspace");
  EXPECT_EQ(name_of(Placement::kKernel), "kernel");
  EXPECT_EQ(name_of(Placement::kNic), "nic");
}

}  // namespace
}  // namespace ktls
