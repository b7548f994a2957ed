// fixed_by(): files of every kind that can be made here, and what /proc/self/mountinfo may say.
#include "userspace/bridge/fixed_content.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fsverity.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "ktls/base/unique_fd.h"
#include "userspace/bridge/fixed_files.h"

namespace bridge {
namespace {

using ktls::UniqueFd;

UniqueFd memfd_with(int seals) {
  UniqueFd fd(::memfd_create("content", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd.get(), "content", 7), 7);
  if (seals != 0) {
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  }
  return fd;
}

TEST(FixedContent, IsAMemfdsThatMayNeitherBeWrittenNorShrunk) {
  EXPECT_EQ(fixed_by(memfd_with(F_SEAL_WRITE | F_SEAL_SHRINK).get()), FixedBy::kSeals);
  const int every = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  EXPECT_EQ(fixed_by(memfd_with(every).get()), FixedBy::kSeals);
  EXPECT_EQ(content_of(FixedBy::kSeals), Content::kFixed);
}

TEST(FixedContent, IsNotAMemfdsWithFewerSeals) {
  for (const int seals : {0, F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW | F_SEAL_SHRINK,
                          F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK}) {
    EXPECT_EQ(fixed_by(memfd_with(seals).get()), FixedBy::kNothing) << seals;
  }
  EXPECT_EQ(content_of(FixedBy::kNothing), Content::kMayChange);
}

TEST(FixedContent, IsNotWhatIsNoOrdinaryFile) {
  EXPECT_EQ(fixed_by(-1), FixedBy::kNothing);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  EXPECT_EQ(fixed_by(read_end.get()), FixedBy::kNothing);
  const UniqueFd device(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(fixed_by(device.get()), FixedBy::kNothing);
  const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(fixed_by(folder.get()), FixedBy::kNothing);
}

TEST(FixedContent, IsNotAnOrdinaryFilesThoughItIsOpenForReadingOnly) {
  std::string path = testing::TempDir() + "fixed_content.XXXXXX";
  const UniqueFd writing(::mkstemp(path.data()));
  ASSERT_TRUE(writing);
  const UniqueFd reading(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ::unlink(path.c_str());
  EXPECT_EQ(fixed_by(writing.get()), FixedBy::kNothing);
  EXPECT_EQ(fixed_by(reading.get()), FixedBy::kNothing);
}

TEST(FixedContent, IsReadOffTheFileSystemsOptionsNotTheMounts) {
  const std::string line = " 8:1 / /data ";
  const auto of = [&](const std::string& rest) {
    return is_read_only_mount("11 1" + line + "rw - ext4 /dev/sdb rw\n12 1" + line + rest + "\n",
                              12);
  };
  EXPECT_TRUE(of("ro - ext4 /dev/sda1 ro,errors=continue"));
  EXPECT_TRUE(of("rw,noatime shared:1 master:2 - squashfs /dev/sda1 ro"));
  EXPECT_FALSE(of("ro - ext4 /dev/sda1 rw"));
  EXPECT_FALSE(of("ro - ext4 /dev/sda1 rw,errors=remount-ro"));
  EXPECT_FALSE(of("ro - ext4 /dev/sda1"));
  EXPECT_FALSE(of("ro"));
  // Not a kernel's own: a server, or another machine on the same disk, changes the file.
  EXPECT_FALSE(of("ro - fuseblk /dev/sda1 ro"));
  EXPECT_FALSE(of("ro - gfs2 /dev/sda1 ro"));
}

TEST(FixedContent, IsNotWithoutABlockDevice) {
  EXPECT_TRUE(is_read_only_mount("12 1 7:0 / /data ro - ext4 /dev/loop0 ro", 12));
  EXPECT_FALSE(is_read_only_mount("12 1 0:7 / /data ro - ext4 none ro", 12));
  EXPECT_FALSE(is_read_only_mount("12 1 0:40 / /data ro - nfs4 server:/data ro", 12));
  EXPECT_FALSE(is_read_only_mount("12 1 0:41 / /data ro - overlay overlay ro", 12));
}

TEST(FixedContent, IsNotOnAMountThatIsNotListed) {
  const std::string text = "12 1 7:0 / /data ro - ext4 /dev/loop0 ro\n";
  for (const std::uint64_t other : {0, 1, 2, 7, 120}) {
    EXPECT_FALSE(is_read_only_mount(text, other)) << other;
  }
  EXPECT_FALSE(is_read_only_mount("", 12));
  EXPECT_FALSE(is_read_only_mount("12", 12));
  EXPECT_FALSE(is_read_only_mount("12 1 7:0 / /data ro -", 12));
  EXPECT_FALSE(is_read_only_mount("12 1 7:0 / /data ro - ext4 ro", 12));
}

TEST(FixedFiles, AreAskedOneByOneForTheirSeals) {
  FixedFiles files;
  const FixedFiles::Clock::time_point now{};
  EXPECT_EQ(files.of(memfd_with(0).get(), now), FixedBy::kNothing);
  EXPECT_EQ(files.of(memfd_with(F_SEAL_WRITE | F_SEAL_SHRINK).get(), now), FixedBy::kSeals);
  EXPECT_EQ(files.of(memfd_with(F_SEAL_WRITE).get(), now), FixedBy::kNothing);
  EXPECT_EQ(files.of(-1, now), FixedBy::kNothing);
}

// An ext4 image in a mount namespace of this process's own, with what a test asks for mounted
// from it.
class MountedContent : public testing::Test {
 protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "mounting is refused here";
    }
    root_ = testing::TempDir() + "fixed_content.XXXXXX";
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    ASSERT_EQ(::mount("none", root_.c_str(), "tmpfs", 0, nullptr), 0);
    const std::string image = root_ + "/image";
    ASSERT_TRUE(command("truncate -s 16M " + image));
    if (!command("mkfs.ext4 -q -b 4096 -O verity " + image)) GTEST_SKIP() << "no mkfs.ext4 here";
    ASSERT_TRUE(command("mkdir " + root_ + "/disk " + root_ + "/bound"));
    if (!command("mount -o loop " + image + " " + disk())) {
      GTEST_SKIP() << "no loop device, or no ext4, here";
    }
    std::ofstream(disk() + "/file") << "content";
  }
  void TearDown() override {
    ::umount2(root_.c_str(), MNT_DETACH);
    ::rmdir(root_.c_str());
  }

  [[nodiscard]] static bool command(const std::string& line) {
    return std::system((line + " 2>/dev/null").c_str()) == 0;
  }
  [[nodiscard]] std::string disk() const { return root_ + "/disk"; }
  [[nodiscard]] std::string bound() const { return root_ + "/bound"; }
  [[nodiscard]] static UniqueFd file_in(const std::string& folder) {
    UniqueFd fd(::open((folder + "/file").c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(fd);
    return fd;
  }

 private:
  std::string root_;
};

TEST_F(MountedContent, IsFixedWhereTheFileSystemIsReadOnly) {
  const UniqueFd file = file_in(disk());
  EXPECT_EQ(fixed_by(file.get()), FixedBy::kNothing);
  ASSERT_TRUE(command("mount -o remount,ro " + disk()));
  EXPECT_EQ(fixed_by(file.get()), FixedBy::kReadOnly);
  ASSERT_TRUE(command("mount -o remount,rw " + disk()));
  EXPECT_EQ(fixed_by(file.get()), FixedBy::kNothing);
}

TEST_F(MountedContent, IsReadOffTheMountsOnceASecondByFixedFiles) {
  ASSERT_TRUE(command("mount -o remount,ro " + disk()));
  const UniqueFd file = file_in(disk());
  FixedFiles files;
  const FixedFiles::Clock::time_point begun{};
  EXPECT_EQ(files.of(file.get(), begun), FixedBy::kReadOnly);
  ASSERT_TRUE(command("mount -o remount,rw " + disk()));
  const auto before = begun + FixedFiles::kMountAge - std::chrono::milliseconds(1);
  EXPECT_EQ(files.of(file.get(), before), FixedBy::kReadOnly);
  EXPECT_EQ(files.of(file.get(), begun + FixedFiles::kMountAge), FixedBy::kNothing);
}

TEST_F(MountedContent, IsNotFixedByAReadOnlyBindMount) {
  ASSERT_EQ(::mount(disk().c_str(), bound().c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, bound().c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr),
            0);
  const UniqueFd file = file_in(bound());
  EXPECT_EQ(::open((bound() + "/file").c_str(), O_WRONLY | O_CLOEXEC), -1);
  EXPECT_EQ(fixed_by(file.get()), FixedBy::kNothing);
}

TEST_F(MountedContent, IsFixedByVerity) {
  const UniqueFd file = file_in(disk());
  fsverity_enable_arg argument{};
  argument.version = 1;
  argument.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
  argument.block_size = 4096;
  if (::ioctl(file.get(), FS_IOC_ENABLE_VERITY, &argument) != 0) {
    GTEST_SKIP() << "no fs-verity here: errno " << errno;
  }
  EXPECT_EQ(fixed_by(file.get()), FixedBy::kVerity);
  // The attribute of the file below is that of the file in an overlay, whose content may change.
  ASSERT_TRUE(command("mkdir " + bound() + "/up " + bound() + "/work " + bound() + "/over"));
  if (!command("mount -t overlay -o lowerdir=" + disk() + ",upperdir=" + bound() +
               "/up,workdir=" + bound() + "/work none " + bound() + "/over")) {
    GTEST_SKIP() << "no overlayfs here";
  }
  EXPECT_EQ(fixed_by(file_in(bound() + "/over").get()), FixedBy::kNothing);
}

}  // namespace
}  // namespace bridge
