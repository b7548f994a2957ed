#include "tools/ktls-bridge/program_inspection.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/ktls-bridge/elf_file.h"

namespace tools {
namespace {

constexpr uid_t kSomebody = 65534;

bool succeeds(const std::string& command) {
  // NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe): the test's own words
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// Programs are built by the machine's own compilers; where there is none the test is skipped.
class ProgramInspection : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content, int mode = 0755) {
    const std::string path = folder_ / name;
    std::ofstream(path) << content;
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    return path;
  }
  // Empty: it cannot be built here.
  std::string build(const std::string& flags, const std::string& code = "int main() {}\n") {
    const std::string source = write("source.c", code);
    const std::string program = folder_ / "program";
    return succeeds("cc -w -o " + program + " " + source + " " + flags) ? program : std::string();
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("program-inspection-" + std::to_string(::getpid()));
};

std::optional<Unfit> why(const std::string& path) {
  const auto unfit = inspect_program(path);
  return unfit ? std::optional(unfit->why) : std::nullopt;
}

TEST_F(ProgramInspection, FindsNothingAgainstAnOrdinaryProgram) {
  EXPECT_EQ(why("/bin/sh"), std::nullopt);
  const std::string program = build("");
  if (program.empty()) GTEST_SKIP() << "no C compiler";
  EXPECT_EQ(why(program), std::nullopt);
}

TEST_F(ProgramInspection, FindsAStaticProgram) {
  const std::string program = build("-static");
  if (program.empty()) GTEST_SKIP() << "no static C library";
  EXPECT_EQ(why(program), Unfit::kStatic);
}

TEST_F(ProgramInspection, FindsAStaticProgramThatCanBeLoadedAnywhere) {
  const std::string program = build("-static-pie");
  if (program.empty()) GTEST_SKIP() << "no static C library";
  EXPECT_EQ(why(program), Unfit::kStatic);
}

TEST_F(ProgramInspection, FindsAProgramOfGo) {
  const std::string source = write("main.go", "package main\nfunc main() {}\n");
  const std::string program = folder_ / "program";
  if (!succeeds("cd " + folder_.string() + " && GO111MODULE=off GOCACHE=" + folder_.string() +
                "/cache go build -o " + program + " " + source)) {
    GTEST_SKIP() << "no Go";
  }
  EXPECT_EQ(why(program), Unfit::kGo);
}

TEST_F(ProgramInspection, FindsAnotherLoader) {
  const std::string program = build("-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1");
  if (program.empty()) GTEST_SKIP() << "no C compiler";
  const auto unfit = inspect_program(program);
  ASSERT_TRUE(unfit);
  EXPECT_EQ(unfit->why, Unfit::kOtherLibc);
  EXPECT_EQ(unfit->detail, "/lib/ld-musl-x86_64.so.1");
}

TEST_F(ProgramInspection, FindsIoUringByTheLibraryAndByItsFunctions) {
  const std::string code =
      "int io_uring_queue_init(unsigned, void*, unsigned);\n"
      "int main(int c, char** v) { return c > 9 ? io_uring_queue_init(1, v, 0) : 0; }\n";
  const std::string linked = build("-luring", code);
  if (linked.empty()) GTEST_SKIP() << "no liburing";
  auto unfit = inspect_program(linked);
  ASSERT_TRUE(unfit);
  EXPECT_EQ(unfit->why, Unfit::kIoUring);
  EXPECT_TRUE(unfit->detail.starts_with("liburing.so")) << unfit->detail;
  const std::string library = folder_ / "libother.so";
  const std::string source = write("other.c", "void io_uring_queue_init() {}\n");
  ASSERT_TRUE(succeeds("cc -w -shared -fPIC -o " + library + " " + source));
  const std::string imported = build(library, code);
  ASSERT_FALSE(imported.empty());
  unfit = inspect_program(imported);
  ASSERT_TRUE(unfit);
  EXPECT_EQ(unfit->detail, "io_uring_queue_init");
}

TEST_F(ProgramInspection, FindsAProgramOfAnotherMachine) {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string header(sizeof(ElfW(Ehdr)), '\0');
  self.read(header.data(), static_cast<std::streamsize>(header.size()));
  header[18] = 2;  // e_machine: EM_SPARC
  header[19] = 0;
  EXPECT_EQ(why(write("sparc", header)), Unfit::kOtherMachine);
}

TEST_F(ProgramInspection, FindsRightsThatWeHaveNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string program = build("");
  if (program.empty()) GTEST_SKIP() << "no C compiler";
  ASSERT_EQ(::chown(program.c_str(), kSomebody, kSomebody), 0);
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  EXPECT_EQ(why(program), Unfit::kPrivileged);
  ASSERT_EQ(::chmod(program.c_str(), 02755), 0);
  EXPECT_EQ(why(program), Unfit::kPrivileged);
  ASSERT_EQ(::chmod(program.c_str(), 02745), 0);  // no execution: mandatory locking, once
  EXPECT_EQ(why(program), std::nullopt);
  ASSERT_EQ(::chown(program.c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(program.c_str(), 06755), 0);  // what we are already
  EXPECT_EQ(why(program), std::nullopt);
}

TEST_F(ProgramInspection, JudgesAScriptByItsInterpreter) {
  EXPECT_EQ(why(write("shell", "#!/bin/sh\n")), std::nullopt);
  EXPECT_EQ(why(write("env", "#! /usr/bin/env sh\n")), std::nullopt);
  EXPECT_EQ(why(write("nothing", "#!\n")), std::nullopt);
  EXPECT_EQ(why(write("gone", "#!/nonexistent -x\n")), std::nullopt);
  EXPECT_EQ(why(write("no line", "#!/bin/sh")), std::nullopt);
  const std::string program = build("-static");
  if (program.empty()) GTEST_SKIP() << "no static C library";
  const auto unfit = inspect_program(write("static", "#! \t" + program + " -x \n"));
  ASSERT_TRUE(unfit);
  EXPECT_EQ(unfit->why, Unfit::kStatic);
  EXPECT_EQ(unfit->subject, program);
  EXPECT_EQ(why(write("by env", "#!/usr/bin/env -S " + program + " -x\n")), Unfit::kStatic);
  EXPECT_EQ(why(write("twice", "#!" + folder_.string() + "/static\n")), Unfit::kStatic);
}

TEST_F(ProgramInspection, GivesUpOnScriptsWithoutAnEnd) {
  EXPECT_EQ(why(write("loop", "#!" + folder_.string() + "/loop\n")), Unfit::kScripts);
}

TEST_F(ProgramInspection, BelievesNoFile) {
  EXPECT_EQ(why(write("empty", "")), std::nullopt);
  EXPECT_EQ(why(write("text", "not a program")), std::nullopt);
  EXPECT_EQ(why(folder_), std::nullopt);
  EXPECT_EQ(why(folder_ / "missing"), std::nullopt);
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string whole(std::istreambuf_iterator<char>(self), {});
  // Whatever stands in the headers, reading comes to an end.
  for (std::size_t at = 16; at < sizeof(ElfW(Ehdr)); ++at) {
    std::string broken = whole.substr(0, 65536);
    broken[at] = '\xff';
    static_cast<void>(inspect_program(write("broken", broken)));
  }
  EXPECT_EQ(why(write("a header alone", whole.substr(0, sizeof(ElfW(Ehdr))))), Unfit::kStatic);
}

TEST_F(ProgramInspection, SaysWhatToDoInstead) {
  for (const Unfit unfit :
       {Unfit::kStatic, Unfit::kGo, Unfit::kOtherLibc, Unfit::kOtherMachine, Unfit::kPrivileged,
        Unfit::kIoUring, Unfit::kSeccomp, Unfit::kScripts}) {
    const std::string text = text_of("program", {unfit, "/bin/program", "detail"});
    EXPECT_TRUE(text.starts_with("program: /bin/program ")) << text;
    EXPECT_NE(text.find("`ktls-bridge wrap`"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
  EXPECT_TRUE(text_of("p", {Unfit::kStatic, "p", ""}).starts_with("p is statically linked"));
}

// In a child: a filter cannot be taken off again.
template <class Try>
int under_filter(std::uint32_t call, std::uint32_t action, Try attempt) {
  const pid_t child = ::fork();
  if (child == 0) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{.len = std::size(program), .filter = program};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(99);
    ::_exit(attempt());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(SeccompInspection, FindsACallThatIsKilledOrRefused) {
  for (const std::uint32_t action :
       {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | ENOSYS}) {
    EXPECT_EQ(under_filter(SYS_dup3, action,
                           [] {
                             const auto found = inspect_seccomp();
                             return found && found->detail == "dup3" ? 7 : 1;
                           }),
              7)
        << std::hex << action;
  }
}

TEST(SeccompInspection, FindsNothingInAFilterThatForbidsOtherThings) {
  EXPECT_EQ(
      under_filter(SYS_ptrace, SECCOMP_RET_KILL_PROCESS, [] { return inspect_seccomp() ? 1 : 7; }),
      7);
}

}  // namespace
}  // namespace tools
