// What a service manager hears, word by word.
#include "tools/supervision/supervisor.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/supervision/ticker.h"

namespace tools {
namespace {

using ktls::UniqueFd;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPatienceMs = 20'000;

// One that listens for datagrams.
class Overseer : public ::testing::Test {
 protected:
  ~Overseer() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
    if (!path_.empty()) std::filesystem::remove(path_);
  }

  void listen_at_path() {
    path_ = std::filesystem::temp_directory_path() / ("notify-" + std::to_string(::getpid()));
    listen_at(path_);
  }
  void listen_at_name() { listen_at("@ktls-bridge-notify-" + std::to_string(::getpid())); }
  void listen_at(const std::string& address) {
    sockaddr_un sun{};
    sun.sun_family = AF_UNIX;
    std::memcpy(sun.sun_path, address.data(), address.size());
    if (address.front() == '@') sun.sun_path[0] = '\0';
    fd_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    ASSERT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&sun), size), 0);
    ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
  }

  Supervisor supervisor() {
    return Supervisor([this](const ktls::Error& error) { faults_.push_back(error.message()); });
  }

  // What waits; empty: nothing.
  [[nodiscard]] std::string heard() const {
    std::array<char, 4096> bytes{};
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size < 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(size));
  }

  UniqueFd fd_;
  std::string path_;
  std::vector<std::string> faults_;
};

TEST_F(Overseer, HearsEachStepAtAPathOrAnAbstractName) {
  for (const bool has_path : {true, false}) {
    if (has_path) {
      listen_at_path();
    } else {
      listen_at_name();
    }
    Supervisor ours = supervisor();
    ours.ready("serving on a\nSTOPPING=1");
    EXPECT_EQ(heard(), "READY=1\nSTATUS=serving on a\\x0aSTOPPING=1\n");
    ours.reloading();
    const std::string reloading = heard();
    const std::string clock = "RELOADING=1\nMONOTONIC_USEC=";
    ASSERT_TRUE(reloading.starts_with(clock)) << reloading;
    EXPECT_GT(std::stoll(reloading.substr(clock.size())), 0);
    ours.stopping("SIGTERM", seconds(30));
    EXPECT_EQ(heard(), "STOPPING=1\nSTATUS=SIGTERM\nEXTEND_TIMEOUT_USEC=40000000\n");
  }
  EXPECT_TRUE(faults_.empty());
}

TEST_F(Overseer, IsPingedFourTimesInItsDeadlineIfItLooksAtThisProcess) {
  listen_at_path();
  ::setenv("WATCHDOG_USEC", "2000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  Supervisor ours = supervisor();
  EXPECT_EQ(ours.watchdog(), seconds(2));
  EXPECT_EQ(ours.ping_interval(), milliseconds(500));
  ours.ping();
  EXPECT_EQ(heard(), "WATCHDOG=1\n");
}

TEST_F(Overseer, IsNotPingedForAnotherProcessNorWithoutADeadline) {
  listen_at_path();
  ::setenv("WATCHDOG_USEC", "2000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  Supervisor ours = supervisor();
  EXPECT_FALSE(ours.watchdog());
  ours.ping();
  EXPECT_EQ(heard(), "");
}

TEST_F(Overseer, IsNotPingedByADeadlineThatIsNone) {
  for (const char* usec : {"0", "x", "-5", "9999999999999999999"}) {
    listen_at_name();
    ::setenv("WATCHDOG_USEC", usec, 1);
    EXPECT_FALSE(supervisor().watchdog()) << usec;
    ASSERT_EQ(faults_.size(), 1U) << usec;
    EXPECT_NE(faults_.front().find("WATCHDOG_USEC"), std::string::npos);
    faults_.clear();
    fd_.reset();
  }
}

TEST_F(Overseer, LeavesItsVariablesToNobodyElse) {
  listen_at_path();
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const Supervisor ours = supervisor();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  }
}

TEST_F(Overseer, ThatIsGoneIsComplainedOfOnce) {
  listen_at_path();
  Supervisor ours = supervisor();
  fd_.reset();
  ours.ready("serving");
  ours.stopping("SIGTERM", seconds(1));
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_NE(faults_.front().find(path_), std::string::npos);
}

TEST_F(Overseer, WithAnAddressThatWeDoNotSpeakIsComplainedOf) {
  for (const char* address : {"vsock:2:1234", "relative", "@", "/"}) {
    ::setenv("NOTIFY_SOCKET", address, 1);
    Supervisor ours = supervisor();
    ours.ready("serving");
    EXPECT_EQ(faults_.size(), 1U) << address;
    faults_.clear();
  }
  ::setenv("NOTIFY_SOCKET", ("/" + std::string(107, 'x')).c_str(), 1);
  const Supervisor ours = supervisor();
  ASSERT_EQ(faults_.size(), 1U);
  EXPECT_NE(faults_.front().find("longer than 107 bytes"), std::string::npos);
}

TEST_F(Overseer, ThatIsNotThereHearsNothingAndIsNotMissed) {
  Supervisor ours = supervisor();
  ours.ready("serving");
  ours.ping();
  ours.stopping("SIGTERM", seconds(1));
  EXPECT_TRUE(faults_.empty());
}

struct Pipe {
  // As somebody else has made it: not closed by execve(2).
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    read.reset(ends[0]);
    write = ends[1];
  }
  UniqueFd read;
  int write = -1;
};

TEST_F(Overseer, ReadsALineAndTheEndFromADescriptorOnce) {
  const Pipe pipe;
  Supervisor ours = supervisor();
  ASSERT_TRUE(ours.take_ready_descriptor(pipe.write));
  EXPECT_EQ(::fcntl(pipe.write, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ours.ready("serving");
  char bytes[8] = {};
  EXPECT_EQ(::read(pipe.read.get(), bytes, sizeof bytes), 1);
  EXPECT_EQ(bytes[0], '\n');
  EXPECT_EQ(::read(pipe.read.get(), bytes, sizeof bytes), 0);
  ours.ready("serving anew");  // and no descriptor that has the number by then is written to
  EXPECT_TRUE(faults_.empty());
}

TEST_F(Overseer, CannotReadFromADescriptorThatIsNotForWritingOrNotInherited) {
  const Pipe pipe;
  const UniqueFd write(pipe.write);
  Supervisor ours = supervisor();
  UniqueFd ours_alone(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_FALSE(ours.take_ready_descriptor(ours_alone.get()));
  EXPECT_FALSE(ours.take_ready_descriptor(987654));
  const UniqueFd reading(::dup(pipe.read.get()));
  const auto taken = ours.take_ready_descriptor(UniqueFd(::dup(reading.get())).release());
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message().find("not open for writing"), std::string::npos);
}

TEST(Ticker, IsReadableAtRegularTimes) {
  Ticker ticker;
  EXPECT_EQ(ticker.fd(), -1);
  ASSERT_TRUE(ticker.start(milliseconds(2)));
  for (int i = 0; i < 3; ++i) {
    pollfd due{.fd = ticker.fd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&due, 1, kPatienceMs), 1);
    EXPECT_TRUE(ticker.take());
  }
}

}  // namespace
}  // namespace tools
