// What a look at files of ticket keys comes to, and where it is counted.
#include "tools/ktls-bridge/ticket_key_files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>

namespace tools {
namespace {

namespace fs = std::filesystem;
using metrics::ReloadResult;

constexpr std::size_t kKeySize = 80;

class TicketKeyFilesIn : public testing::Test {
 protected:
  TicketKeyFilesIn() {
    contexts_.replace(*tls::Context::server({}));
    write(std::string(kKeySize, 'a'));
    keys_.count_in(&counts_);
  }
  ~TicketKeyFilesIn() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  static fs::path make_folder() {
    std::string pattern = (fs::temp_directory_path() / "ticket-keys-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    return pattern;
  }
  void write(const std::string& content) const { std::ofstream(files_.front()) << content; }
  // As long as it takes to see that nobody goes on writing.
  void look() {
    for (int i = 0; i < 2; ++i) keys_.look();
  }
  [[nodiscard]] std::uint64_t counted(ReloadResult result) const {
    return counts_.totals().of(metrics::Series::kReloads,
                               {metrics::index_of(tls::Role::kServer), metrics::index_of(result)});
  }

  fs::path folder_ = make_folder();
  ContextSlot contexts_;
  metrics::Metrics counts_;
  Log log_{LogFormat::kText, LogLevel::kError};
  std::vector<std::string> files_ = {folder_ / "key"};
  TicketKeyFiles keys_{files_, contexts_, log_};
};

TEST_F(TicketKeyFilesIn, AreCountedWhenTheyAreReadAgainBecauseTheyHaveChanged) {
  ASSERT_TRUE(keys_.load());
  look();
  EXPECT_EQ(counted(ReloadResult::kOk), 0U);
  write("of no size that a key has");
  look();
  EXPECT_EQ(counted(ReloadResult::kFailed), 1U);
  write(std::string(kKeySize, 'b'));
  look();
  EXPECT_EQ(counted(ReloadResult::kOk), 1U);
  EXPECT_EQ(counted(ReloadResult::kFailed), 1U);
}

TEST_F(TicketKeyFilesIn, TellWhoeverReadsThemWhetherTheyCouldBe) {
  ASSERT_TRUE(keys_.load());
  EXPECT_EQ(keys_.reload(), ReloadResult::kOk);
  fs::remove(files_.front());
  EXPECT_EQ(keys_.reload(), ReloadResult::kFailed);
  EXPECT_EQ(counted(ReloadResult::kFailed), 0U);
}

}  // namespace
}  // namespace tools
