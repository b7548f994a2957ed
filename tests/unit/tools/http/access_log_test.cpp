#include "tools/http/access_log.h"

#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/tools/http/child_process.h"
#include "tests/unit/tools/http/document_tree.h"

namespace http {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<AccessLog> started(ktls::Result<std::unique_ptr<AccessLog>> opened) {
  EXPECT_TRUE(opened.value()->start());
  return *std::move(opened);
}

class AccessLogTest : public DocumentTree {
 protected:
  [[nodiscard]] std::unique_ptr<AccessLog> opened(AccessLogLimits limits = {}) {
    return started(AccessLog::open(
        at("log"), [this](const ktls::Error& error) { told_.push_back(error.message()); }, limits));
  }
  [[nodiscard]] std::string content(std::string_view name = "log") const {
    std::ostringstream text;
    text << std::ifstream(at(name)).rdbuf();
    return text.str();
  }
  // What the callback was told; read it after a flush.
  std::vector<std::string> told_;
};

TEST_F(AccessLogTest, AppendsLinesToWhatIsThere) {
  file("log", "before\n");
  const auto log = opened();
  log->append("one");
  log->append("two");
  log->flush();
  EXPECT_EQ(content(), "before\none\ntwo\n");
  EXPECT_TRUE(told_.empty());
}

TEST_F(AccessLogTest, IsForNobodyButItsOwnerAndGroup) {
  const auto log = opened();
  struct stat status {};
  ASSERT_EQ(::stat(at("log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0137, 0U);
}

TEST_F(AccessLogTest, WritesWhatWaitsWhenItGoes) {
  opened({.delay_max = 1h})->append("one");
  EXPECT_EQ(content(), "one\n");
}

// Waits for `expected` to be the content of the log, for a time that no healthy machine needs.
bool becomes(const std::function<std::string()>& content, const std::string& expected) {
  for (int i = 0; i < 1000; ++i) {
    if (content() == expected) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

TEST_F(AccessLogTest, WritesALineAfterTheDelay) {
  const auto log = opened({.delay_max = 50ms});
  log->append("one");
  EXPECT_TRUE(becomes([&] { return content(); }, "one\n"));
}

TEST_F(AccessLogTest, WritesAtOnceWhenABatchIsFull) {
  const auto log = opened({.delay_max = 1h, .batch_bytes = 8});
  log->append("123");
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(content(), "");
  log->append("456");
  EXPECT_TRUE(becomes([&] { return content(); }, "123\n456\n"));
}

TEST_F(AccessLogTest, LosesAndTearsNoLineOfManyThreadsWhileItIsRotated) {
  constexpr int kThreads = 4;
  constexpr int kLines = 2'000;
  constexpr int kRotations = 20;
  std::multiset<std::string> found;
  {
    const auto log = opened({.delay_max = 1ms, .batch_bytes = 512});
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kLines; ++i) {
          log->append(std::to_string(thread) + ":" + std::to_string(i) + std::string(50, '.'));
        }
      });
    }
    for (int i = 0; i < kRotations; ++i) {
      std::filesystem::rename(at("log"), at("log." + std::to_string(i)));
      log->reopen();
      log->flush();
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(log->lines_lost(), 0U);
  }
  for (const auto& each : std::filesystem::directory_iterator(root())) {
    std::ifstream lines(each.path());
    for (std::string line; std::getline(lines, line);) found.insert(line);
  }
  EXPECT_EQ(found.size(), std::size_t{kThreads * kLines});
  for (int thread = 0; thread < kThreads; ++thread) {
    for (int i = 0; i < kLines; ++i) {
      const std::string line =
          std::to_string(thread) + ":" + std::to_string(i) + std::string(50, '.');
      ASSERT_EQ(found.count(line), 1U) << line;
    }
  }
  EXPECT_TRUE(told_.empty());
}

TEST_F(AccessLogTest, WritesToTheOldFileWhatWasAppendedBeforeReopening) {
  const auto log = opened({.delay_max = 1h});
  log->append("one");
  std::filesystem::rename(at("log"), at("log.1"));
  log->reopen();
  log->flush();
  log->append("two");
  log->flush();
  EXPECT_EQ(content("log.1"), "one\n");
  EXPECT_EQ(content(), "two\n");
}

TEST_F(AccessLogTest, KeepsItsFileIfThereIsNoReopeningIt) {
  directory("folder");
  const auto log = started(
      AccessLog::open(at("folder/log"), [&](const auto& error) { told_.push_back(error.detail); }));
  std::filesystem::rename(at("folder"), at("moved"));
  log->reopen();
  log->flush();
  log->append("one");
  log->flush();
  EXPECT_EQ(content("moved/log"), "one\n");
  EXPECT_EQ(told_, std::vector<std::string>{"access log " + at("folder/log")});
}

TEST_F(AccessLogTest, TellsOfAFullDiskOnceAndWritesLaterWhatWaited) {
  link("/dev/full", "log");
  const auto log = opened();
  for (int i = 0; i < 3; ++i) {
    log->append("line " + std::to_string(i));
    log->flush();
  }
  EXPECT_EQ(told_,
            std::vector<std::string>{"access log " + at("log") + ": No space left on device"});
  std::filesystem::remove(at("log"));
  log->reopen();
  log->flush();
  EXPECT_EQ(content(), "line 0\nline 1\nline 2\n");
  EXPECT_EQ(told_.size(), 1U);
  EXPECT_EQ(log->lines_lost(), 0U);

  std::filesystem::remove(at("log"));
  link("/dev/full", "log");
  log->reopen();
  log->flush();
  log->append("again");
  log->flush();
  log->flush();
  EXPECT_EQ(told_.size(), 2U) << "it was well in between";
}

TEST_F(AccessLogTest, CountsTheLinesBeyondItsBound) {
  link("/dev/full", "log");
  const auto log = opened({.waiting_bytes_max = 10});
  log->append("1234");
  log->flush();
  log->append("5678");
  log->append("lost");
  log->flush();
  log->append("lost");
  EXPECT_EQ(log->lines_lost(), 2U);
  std::filesystem::remove(at("log"));
  log->reopen();
  log->flush();
  EXPECT_EQ(content(), "1234\n5678\n");
  EXPECT_EQ(told_.size(), 1U);
}

TEST_F(AccessLogTest, TellsWhenLinesComeFasterThanTheyAreWritten) {
  const auto log = opened({.delay_max = 1h, .waiting_bytes_max = 10});
  log->append("1234567");
  log->append("lost");
  log->append("lost");
  log->flush();
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_NE(told_[0].find("are lost"), std::string::npos);
  EXPECT_EQ(log->lines_lost(), 2U);
  EXPECT_EQ(content(), "1234567\n");
}

// For a child: it would hold for the test program's own output too.
void limit_file_size(rlim_t size_bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = size_bytes;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

TEST_F(AccessLogTest, CompletesALineThatTheDiskTookHalfOf) {
  EXPECT_EQ(status_of([&] {
              const auto log = opened();
              limit_file_size(10);
              log->append("0123");
              log->append("456789");
              log->flush();
              const bool was_torn = content() == "0123\n45678" && told_.size() == 1;
              limit_file_size(RLIM_INFINITY);
              log->flush();
              return was_torn && content() == "0123\n456789\n" && log->lines_lost() == 0;
            }),
            0);
}

TEST_F(AccessLogTest, WritesAHalfWrittenLineWholeToTheNextFile) {
  EXPECT_EQ(status_of([&] {
              const auto log = opened();
              limit_file_size(7);
              log->append("0123");
              log->append("4567");
              log->flush();
              std::filesystem::rename(at("log"), at("log.1"));
              log->reopen();
              log->flush();
              return content("log.1") == "0123\n45" && content() == "4567\n";
            }),
            0);
}

TEST_F(AccessLogTest, HasNoThreadUntilItIsStarted) {
  const auto log = AccessLog::open(at("log"), nullptr).value();
  log->append("one");
  log->flush();
  EXPECT_EQ(content(), "");
  ASSERT_TRUE(log->start());
  log->flush();
  EXPECT_EQ(content(), "one\n");
}

TEST_F(AccessLogTest, WritesToStandardOutput) {
  EXPECT_EQ(status_of([&] {
              const ktls::UniqueFd out(::open(at("out").c_str(), O_WRONLY | O_CREAT, 0600));
              ::dup2(out.get(), STDOUT_FILENO);
              const auto log = started(AccessLog::open("-", nullptr));
              log->append("one");
              log->reopen();
              log->flush();
              return content("out") == "one\n";
            }),
            0);
}

TEST_F(AccessLogTest, SurvivesAReaderThatGoes) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(status_of([&] {
              ::dup2(ends[1], STDOUT_FILENO);
              int sys_errno = 0;
              const auto log = started(
                  AccessLog::open("-", [&](const auto& error) { sys_errno = error.sys_errno; }));
              log->append("one");
              log->flush();
              return sys_errno == EPIPE;
            }),
            0);
  ::close(ends[1]);
}

TEST_F(AccessLogTest, NamesThePathThatCannotBeOpened) {
  const auto log = AccessLog::open(at("no-such/log"), nullptr);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().sys_errno, ENOENT);
  EXPECT_EQ(log.error().detail, "access log " + at("no-such/log"));
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  EXPECT_EQ(AccessLog::open(at("fifo"), nullptr).error().sys_errno, ENXIO);
}

}  // namespace
}  // namespace http
