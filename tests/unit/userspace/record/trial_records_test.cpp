// The known answer of ktls::probe(), sealed and opened without it.
#include "ktls/core/trial_records.h"

#include <string_view>

#include <gtest/gtest.h>

#include "tests/unit/userspace/record/states.h"

namespace tls {
namespace {

using test::Bytes;

struct Trial {
  std::uint8_t sequence;
  std::string_view text;
  std::size_t padding;
  std::span<const std::uint8_t> record;
};
constexpr std::array<Trial, 2> kTrials{{
    {0, ktls::kTrialPaddedText, ktls::kTrialPadding, ktls::kTrialPaddedRecord},
    {1, ktls::kTrialNextText, 0, ktls::kTrialNextRecord},
}};
constexpr std::size_t kHeaderSize = 5;
constexpr auto kContentType = static_cast<std::uint8_t>(ContentType::kApplicationData);

TEST(TrialRecords, AreWhatLibcryptoSealsByRfc8446Section52) {
  const BulkCipher& cipher = *test::suite_of(test::kAes128Gcm13).bulk_cipher;
  auto aead = Aead::create(cipher, Bytes(cipher.key_size, ktls::kTrialKeyByte));
  ASSERT_TRUE(aead.has_value());
  for (const Trial& trial : kTrials) {
    Aead::Nonce nonce{};
    nonce.fill(ktls::kTrialKeyByte);
    nonce.back() ^= trial.sequence;
    Bytes inner(trial.text.begin(), trial.text.end());
    inner.push_back(kContentType);
    inner.resize(inner.size() + trial.padding);
    const auto size = static_cast<std::uint8_t>(inner.size() + aead->tag_size());
    Bytes record{kContentType, 3, 3, 0, size};
    const Bytes header(record);
    record.resize(kHeaderSize + size);
    ASSERT_TRUE(
        aead->seal(nonce, header, inner, {}, std::span(record).subspan(kHeaderSize)).has_value());
    EXPECT_EQ(record, Bytes(trial.record.begin(), trial.record.end()));
  }
}

TEST(TrialRecords, OpenInTheRecordLayerOneAfterTheOther) {
  const CipherSuite& suite = test::suite_of(test::kAes128Gcm13);
  TrafficKeys keys{.key = WriteKey(Bytes(16, ktls::kTrialKeyByte)),
                   .iv = WriteIv(Bytes(12, ktls::kTrialKeyByte)),
                   .mac_key = {}};
  auto state = ConnectionState::create(ProtocolVersion::kTls13, suite, std::move(keys), {});
  ASSERT_TRUE(state.has_value());
  for (const Trial& trial : kTrials) {
    Bytes record(trial.record.begin(), trial.record.end());
    const auto opened = test::opened(*state, record);
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    EXPECT_EQ(opened->type, ContentType::kApplicationData);
    EXPECT_TRUE(std::ranges::equal(opened->content, trial.text));
    EXPECT_EQ(opened->inner_size, trial.text.size() + 1 + trial.padding);
  }
}

}  // namespace
}  // namespace tls
