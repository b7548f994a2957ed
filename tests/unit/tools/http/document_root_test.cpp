#include "tools/http/document_root.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/tools/http/child_process.h"
#include "tests/unit/tools/http/document_tree.h"

namespace http {
namespace {

std::string content_of(const OpenFile& file) {
  std::string content(file.version.size + 1, '\0');
  const ssize_t size = ::read(file.fd.get(), content.data(), content.size());
  content.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
  return content;
}

class DocumentRootTest : public DocumentTree {
 protected:
  [[nodiscard]] DocumentRoot served(DocumentPolicy policy = {}) const {
    return std::move(DocumentRoot::open(root() + "/www", std::move(policy))).value();
  }
  void SetUp() override {
    DocumentTree::SetUp();
    directory("www");
  }
  // "file:CONTENT", "directory:PATH", "slash", "not found", "forbidden" or the error.
  static std::string opened(const DocumentRoot& root, std::string_view path) {
    const auto resource = root.open(path);
    if (!resource) return resource.error().message();
    if (const auto* file = std::get_if<OpenFile>(&*resource)) return "file:" + content_of(*file);
    if (const auto* found = std::get_if<OpenDirectory>(&*resource))
      return "directory:" + found->path;
    if (std::holds_alternative<SlashMissing>(*resource)) return "slash";
    return std::holds_alternative<Forbidden>(*resource) ? "forbidden" : "not found";
  }
};

TEST_F(DocumentRootTest, OpensFilesAndDirectories) {
  file("www/a.txt", "A");
  file("www/deep/er/b", "B");
  const DocumentRoot root = served();
  EXPECT_EQ(opened(root, "a.txt"), "file:A");
  EXPECT_EQ(opened(root, "deep/er/b"), "file:B");
  EXPECT_EQ(opened(root, ""), "directory:");
  EXPECT_EQ(opened(root, "deep/"), "directory:deep/");
  EXPECT_EQ(opened(root, "deep"), "slash");
  EXPECT_EQ(opened(root, "deep/er"), "slash");
  EXPECT_EQ(opened(root, "missing"), "not found");
  EXPECT_EQ(opened(root, "missing/"), "not found");
  EXPECT_EQ(opened(root, "a.txt/"), "not found");
  EXPECT_EQ(opened(root, "a.txt/b"), "not found");
  EXPECT_EQ(opened(root, std::string(5000, 'x')), "not found");
}

TEST_F(DocumentRootTest, TakesTheFirstIndexThatIsAFile) {
  file("www/a/index.html", "index of a");
  file("www/b/home.htm", "home of b");
  directory("www/b/index.html");
  const DocumentRoot root = served({.index_names = {"index.html", "home.htm"}});
  EXPECT_EQ(opened(root, "a/"), "file:index of a");
  EXPECT_EQ(opened(root, "b/"), "file:home of b");
  EXPECT_EQ(opened(root, ""), "directory:");
  const auto index = root.open("b/");
  ASSERT_TRUE(index);
  EXPECT_EQ(std::get<OpenFile>(*index).path, "b/home.htm");
  EXPECT_EQ(opened(served({.index_names = {}}), "a/"), "directory:a/");
}

TEST_F(DocumentRootTest, KnowsOneSpellingOfAPath) {
  file("secret", "S");
  file("www/a/b", "B");
  const DocumentRoot root = served({.dot_files = true});
  for (const std::string_view path : {"..", "../secret", "../www/a/b", "a/../a/b", "a/./b", "./a/b",
                                      "a//b", "/a/b", "/", "a/b/..", "a/..", "."}) {
    EXPECT_EQ(opened(root, path), "not found") << path;
  }
  EXPECT_EQ(opened(root, std::string_view("a/b\0.txt", 8)), "not found");
  EXPECT_EQ(opened(root, "a/b"), "file:B");
}

TEST_F(DocumentRootTest, HidesDotFilesButTheWellKnownOnes) {
  file("www/.htpasswd", "H");
  file("www/.git/config", "G");
  file("www/a/.env", "E");
  file("www/.well-known/acme-challenge/token", "T");
  file("www/.well-known/.hidden", "W");
  file("www/a/.well-known/token", "N");
  const DocumentRoot hidden = served();
  for (const std::string_view path : {".htpasswd", ".git/config", ".git/", ".git", "a/.env",
                                      ".well-known/.hidden", "a/.well-known/token"}) {
    EXPECT_EQ(opened(hidden, path), "not found") << path;
  }
  EXPECT_EQ(opened(hidden, ".well-known/acme-challenge/token"), "file:T");
  EXPECT_EQ(opened(hidden, ".well-known/"), "directory:.well-known/");
  const DocumentRoot shown = served({.dot_files = true});
  EXPECT_EQ(opened(shown, ".htpasswd"), "file:H");
  EXPECT_EQ(opened(shown, ".git/config"), "file:G");
}

TEST_F(DocumentRootTest, FollowsLinksOnlyBelowTheRoot) {
  file("outside/secret", "S");
  file("www/a/b", "B");
  link("a/b", "www/down");
  link("../a/b", "www/a/up");
  link("a", "www/folder");
  link("../outside/secret", "www/leaves");
  link("../outside", "www/leaves-too");
  link(at("www/a/b"), "www/absolute");
  link("/proc/self/root", "www/magic");
  link("circle", "www/circle");
  const DocumentRoot root = served();
  EXPECT_EQ(opened(root, "down"), "file:B");
  EXPECT_EQ(opened(root, "a/up"), "file:B");
  EXPECT_EQ(opened(root, "folder/b"), "file:B");
  EXPECT_EQ(opened(root, "folder"), "slash");
  for (const std::string_view path : {"leaves", "leaves-too/secret", "leaves-too/", "absolute",
                                      "magic/etc/passwd", "magic/", "circle"}) {
    EXPECT_EQ(opened(root, path), "not found") << path;
  }
}

TEST_F(DocumentRootTest, FollowsNoLinkAtAllWhenToldSo) {
  file("www/a/b", "B");
  link("a/b", "www/down");
  link("a", "www/folder");
  const DocumentRoot root = served({.symlinks = SymlinkPolicy::kNever});
  EXPECT_EQ(opened(root, "a/b"), "file:B");
  for (const std::string_view path : {"down", "folder", "folder/", "folder/b"}) {
    EXPECT_EQ(opened(root, path), "not found") << path;
  }
}

TEST_F(DocumentRootTest, NeverWaitsForAFifoAndServesNoSpecialFile) {
  ASSERT_EQ(::mkfifo(at("www/fifo").c_str(), 0600), 0);
  const ktls::UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  at("www/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const DocumentRoot root = served();
  EXPECT_EQ(opened(root, "fifo"), "not found");
  EXPECT_EQ(opened(root, "socket"), "not found");
  EXPECT_FALSE(root.status("fifo"));
  EXPECT_FALSE(root.status("socket"));
}

TEST_F(DocumentRootTest, KeepsTheDirectoryThatItOpened) {
  file("www/a", "A");
  const DocumentRoot root = served();
  std::filesystem::rename(at("www"), at("moved"));
  file("www/a", "another");
  EXPECT_EQ(opened(root, "a"), "file:A");
}

TEST_F(DocumentRootTest, NamesTheDirectoryThatIsMissing) {
  const auto missing = DocumentRoot::open(at("no-such"), {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  EXPECT_EQ(missing.error().detail, at("no-such"));
  EXPECT_EQ(DocumentRoot::open(file("www/a"), {}).error().sys_errno, ENOTDIR);
}

// Has the kernel answer `sys_errno` to every openat2 of this process.
bool refuse_openat2(int sys_errno) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(sys_errno)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof filter / sizeof filter[0], filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST_F(DocumentRootTest, TellsWhatMayNotBeReadFromWhatIsNotThere) {
  file("www/locked", "L");
  file("www/closed/index.html", "C");
  ASSERT_EQ(::chmod(at("www").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(at("www/locked").c_str(), 0), 0);
  ASSERT_EQ(::chmod(at("www/closed").c_str(), 0), 0);
  const DocumentRoot root = served();
  EXPECT_EQ(status_of([&] {
              constexpr uid_t kNobody = 65534;  // root may read everything
              if (::geteuid() == 0 && ::setuid(kNobody) != 0) return false;
              return opened(root, "locked") == "forbidden" &&
                     opened(root, "closed/") == "forbidden" &&
                     opened(root, "missing") == "not found";
            }),
            0);
  ::chmod(at("www/closed").c_str(), 0755);
}

TEST_F(DocumentRootTest, RefusesToStartWithoutOpenat2) {
  for (const int sys_errno : {ENOSYS, EPERM}) {
    EXPECT_EQ(status_of([&] {
                if (!refuse_openat2(sys_errno)) return false;
                const auto root = DocumentRoot::open(at("www"), {});
                return !root && root.error().code == ktls::ErrorCode::kUnsupported &&
                       root.error().sys_errno == sys_errno &&
                       root.error().detail.find(at("www")) != std::string::npos &&
                       root.error().detail.find("needs Linux 5.6") != std::string::npos;
              }),
              0);
  }
}

TEST_F(DocumentRootTest, GivesUpARaceThatDoesNotEnd) {
  file("www/a");
  const DocumentRoot root = served();
  EXPECT_EQ(status_of([&] {
              if (!refuse_openat2(EAGAIN)) return false;
              const auto resource = root.open("a");
              return !resource && resource.error().sys_errno == EAGAIN &&
                     resource.error().detail == "openat2 of a";
            }),
            0);
}

TEST_F(DocumentRootTest, ReportsShortageAsAnErrorAndNotAsAMissingFile) {
  file("www/a");
  const DocumentRoot root = served();
  EXPECT_EQ(status_of([&] {
              if (!refuse_openat2(EMFILE)) return false;
              const auto resource = root.open("a");
              return !resource && resource.error().sys_errno == EMFILE;
            }),
            0);
}

// The lease of the test below, which its signal's handler gives back.
int leased_fd = -1;
void give_lease_back(int) {
  ::fcntl(leased_fd, F_SETLEASE, F_UNLCK);
}

TEST_F(DocumentRootTest, TriesAgainWhatWasRefusedForAMoment) {
  const ktls::UniqueFd holder(::open(file("www/a", "A").c_str(), O_RDWR | O_CLOEXEC));
  leased_fd = holder.get();
  struct sigaction handler {};
  handler.sa_handler = give_lease_back;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGPIPE, &handler, &before), 0);
  const DocumentRoot root = served();
  // ThreadSanitizer keeps back a SIGIO, but not what a thread may have caused by itself.
  ASSERT_EQ(::fcntl(leased_fd, F_SETSIG, SIGPIPE), 0);
  const bool leased = ::fcntl(leased_fd, F_SETLEASE, F_WRLCK) == 0;
  const std::string found = opened(root, "a");
  ::sigaction(SIGPIPE, &before, nullptr);
  if (!leased) GTEST_SKIP() << "this file system has no leases";
  EXPECT_EQ(found, "file:A");
}

TEST_F(DocumentRootTest, NeverLeavesTheRootWhileDirectoriesMove) {
  file("secret", "secret");
  file("www/a/b/c/file", "inside");
  link("../../../a/b/c/file", "www/a/b/c/through");
  const DocumentRoot root = served();
  std::atomic<bool> done{false};
  std::thread mover([&] {
    while (!done) {
      ::rename(at("www/a/b/c").c_str(), at("c").c_str());
      ::rename(at("c").c_str(), at("www/a/b/c").c_str());
    }
  });
  int found_count = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string found = opened(root, "a/b/c/through");
    found_count += found == "file:inside" ? 1 : 0;
    const bool shortage = found.find("Resource temporarily unavailable") != std::string::npos;
    EXPECT_TRUE(found == "file:inside" || found == "not found" || shortage) << found;
  }
  done = true;
  mover.join();
  EXPECT_GT(found_count, 0);
}

class DocumentVariants : public DocumentRootTest {
 protected:
  [[nodiscard]] std::string variant(Coding coding) const {
    const DocumentRoot root = served();
    const auto original = root.open("a.js");
    const auto found = root.open_variant(std::get<OpenFile>(*original), coding);
    if (!found) return found.error().message();
    return *found ? content_of(**found) : "none";
  }
};

TEST_F(DocumentVariants, AreFoundByTheirCoding) {
  file("www/a.js", "original");
  file("www/a.js.zst", "zstd");
  file("www/a.js.br", "brotli");
  file("www/a.js.gz", "gzip");
  EXPECT_EQ(variant(Coding::kZstd), "zstd");
  EXPECT_EQ(variant(Coding::kBrotli), "brotli");
  EXPECT_EQ(variant(Coding::kGzip), "gzip");
  EXPECT_EQ(variant(Coding::kIdentity), "none");
}

TEST_F(DocumentVariants, AreFilesAndNotOutdated) {
  file("www/a.js", "original");
  file("www/a.js.br", "brotli");
  directory("www/a.js.zst");
  EXPECT_EQ(variant(Coding::kZstd), "none");
  EXPECT_EQ(variant(Coding::kGzip), "none");

  set_modified("www/a.js", {1'700'000'000, 500});
  set_modified("www/a.js.br", {1'700'000'000, 500});
  EXPECT_EQ(variant(Coding::kBrotli), "brotli");
  set_modified("www/a.js.br", {1'700'000'000, 0});  // written by a tool that knows seconds
  EXPECT_EQ(variant(Coding::kBrotli), "brotli");
  set_modified("www/a.js.br", {1'700'000'000, 499});
  EXPECT_EQ(variant(Coding::kBrotli), "none");
  set_modified("www/a.js.br", {1'699'999'999, 900});
  EXPECT_EQ(variant(Coding::kBrotli), "none");
  set_modified("www/a.js.br", {1'700'000'001, 0});
  EXPECT_EQ(variant(Coding::kBrotli), "brotli");
}

TEST_F(DocumentVariants, OfAnIndexBelongToTheIndex) {
  file("www/d/index.html", "original");
  file("www/d/index.html.gz", "gzip");
  const DocumentRoot root = served();
  const auto index = root.open("d/");
  const auto found = root.open_variant(std::get<OpenFile>(*index), Coding::kGzip);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->path, "d/index.html.gz");
}

TEST_F(DocumentRootTest, TellsTheStatusOfWhatItWouldServe) {
  file("secret");
  file("www/a", "four");
  file("www/.hidden");
  link("a", "www/down");
  link("../secret", "www/leaves");
  const DocumentRoot root = served();
  ASSERT_TRUE(root.status("a"));
  EXPECT_EQ(root.status("a")->st_size, 4);
  EXPECT_EQ(root.status("down")->st_size, 4);
  EXPECT_TRUE(S_ISDIR(root.status("")->st_mode));
  EXPECT_FALSE(root.status("leaves"));
  EXPECT_FALSE(root.status(".hidden"));
  EXPECT_FALSE(root.status("missing"));
  EXPECT_FALSE(served({.symlinks = SymlinkPolicy::kNever}).status("down"));
}

}  // namespace
}  // namespace http
