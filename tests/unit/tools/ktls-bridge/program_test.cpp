#include "tools/ktls-bridge/program.h"

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace tools {
namespace {

using ktls::UniqueFd;

constexpr int kPatienceMs = 20'000;

struct Pipe {
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  // To its end.
  std::string text() {
    write.reset();
    std::string found;
    char bytes[256];
    for (ssize_t size = 0; (size = ::read(read.get(), bytes, sizeof bytes)) > 0;) {
      found.append(bytes, static_cast<std::size_t>(size));
    }
    return found;
  }

  UniqueFd read;
  UniqueFd write;
};

Launch shell(const std::string& script) {
  return {.path = "/bin/sh",
          .arguments = {"sh", "-c", script},
          .environment = {"PATH=/usr/bin:/bin"},
          .descriptors = {}};
}

ProgramEnd end_of(Program program) {
  pollfd ended{.fd = program.fd(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&ended, 1, kPatienceMs), 1);
  const auto end = program.reap();
  EXPECT_TRUE(end);
  return end ? *end : ProgramEnd{};
}

TEST(Program, EndsWithAStatusOrByASignalAsTheShellSaysIt) {
  auto exits = Program::start(shell("exit 7"));
  ASSERT_TRUE(exits) << exits.error().message();
  EXPECT_EQ(end_of(*std::move(exits)).exit_code(), 7);
  auto dies = Program::start(shell("kill -TERM $$"));
  ASSERT_TRUE(dies) << dies.error().message();
  const ProgramEnd end = end_of(*std::move(dies));
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_EQ(end.exit_code(), 128 + SIGTERM);
}

TEST(Program, HasTheDescriptorsThatItIsGivenUnderTheirNumbersAlsoWhereTheyCross) {
  Pipe one;
  Pipe two;
  Launch launch = shell("echo first >&0; echo second >&1");
  // To the number that the other one has here.
  UniqueFd low(::fcntl(one.write.get(), F_DUPFD_CLOEXEC, 3));
  launch.descriptors = {{one.write.get(), 0}, {two.write.get(), 1}, {low.get(), two.write.get()}};
  auto program = Program::start(launch);
  ASSERT_TRUE(program) << program.error().message();
  EXPECT_EQ(end_of(*std::move(program)).exit_code(), 0);
  EXPECT_EQ(two.text(), "second\n");
  low.reset();
  EXPECT_EQ(one.text(), "first\n");
}

TEST(Program, ReadsItsOwnPidWhereOursWasTheOneThatSystemdMeant) {
  Pipe said;
  Launch launch = shell("[ $LISTEN_PID = $$ ] && [ $WATCHDOG_PID = $$ ] && echo mine");
  launch.environment.push_back("LISTEN_PID=" + std::to_string(::getpid()));
  launch.environment.push_back("WATCHDOG_PID=" + std::to_string(::getpid()));
  launch.descriptors = {{said.write.get(), 1}};
  auto program = Program::start(launch);
  ASSERT_TRUE(program) << program.error().message();
  EXPECT_EQ(end_of(*std::move(program)).exit_code(), 0);
  EXPECT_EQ(said.text(), "mine\n");
}

TEST(Program, IsSignalledWithAllOfItsGroup) {
  Pipe said;
  Launch launch = shell("sleep 100 & echo ready; wait; sleep 100");
  launch.descriptors = {{said.write.get(), 1}};
  auto program = Program::start(launch);
  ASSERT_TRUE(program) << program.error().message();
  char line[8] = {};
  ASSERT_EQ(::read(said.read.get(), line, sizeof line), 6);
  program->signal(SIGKILL);
  EXPECT_EQ(end_of(*std::move(program)).signal, SIGKILL);
  EXPECT_EQ(said.text(), "");  // ends when the one in the background has, too
}

TEST(Program, IsNamedWhereItCannotBeRun) {
  const auto missing = Program::start(
      {.path = "/no/such/program", .arguments = {"program"}, .environment = {}, .descriptors = {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  EXPECT_NE(missing.error().message().find("/no/such/program"), std::string::npos);
}

TEST(Program, IsFoundInPathUnlessItsNameHasASlash) {
  const auto found = find_program("sh");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->substr(found->rfind('/')), "/sh");
  EXPECT_EQ(find_program("/bin/sh").value(), "/bin/sh");
  const auto missing = find_program("there-is-no-such-program");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  const auto file = find_program("/etc/passwd");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().sys_errno, EACCES);
}

}  // namespace
}  // namespace tools
