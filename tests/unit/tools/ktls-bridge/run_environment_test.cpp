#include "tools/ktls-bridge/run_environment.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace tools {
namespace {

using Words = std::vector<std::string>;

Preload preload() {
  return {.library = "/lib/ours.so", .listen = {443, 8443}, .connect = {"*:1", "b"}, .channel = 9};
}

TEST(RunEnvironment, TellsTheLibraryWhatItIsToDo) {
  EXPECT_EQ(run_environment({"A=1", "B=2"}, preload()),
            (Words{"A=1", "B=2", "LD_PRELOAD=/lib/ours.so", "KTLS_BRIDGE_LISTEN=443,8443",
                   "KTLS_BRIDGE_CONNECT=*:1,b", "KTLS_BRIDGE_CHANNEL=9"}));
}

TEST(RunEnvironment, HasNothingOfARunAroundIt) {
  Preload nothing = preload();
  nothing.listen.clear();
  nothing.connect.clear();
  EXPECT_EQ(run_environment({"KTLS_BRIDGE_LISTEN=1", "KTLS_BRIDGE_CONNECT=*", "A=1",
                             "KTLS_BRIDGE_CHANNEL=5", "KTLS_BRIDGE_BROKER=/there"},
                            nothing),
            (Words{"A=1", "LD_PRELOAD=/lib/ours.so", "KTLS_BRIDGE_CHANNEL=9"}));
}

TEST(RunEnvironment, LoadsItsLibraryFirstAndOnce) {
  const Words environment =
      run_environment({"LD_PRELOAD=/a.so:/lib/ours.so /b.so::", "A=1"}, preload());
  EXPECT_EQ(std::ranges::count(environment, "LD_PRELOAD=/lib/ours.so:/a.so:/b.so"), 1);
  EXPECT_EQ(environment.size(), 5U);
}

class PreloadPlaces : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_ / "with space"); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string make(const std::string& name) {
    std::ofstream(folder_ / name) << "library";
    return folder_ / name;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("run-environment-" + std::to_string(::getpid()));
};

TEST_F(PreloadPlaces, AreWhereItIsBuiltAndWhereItIsInstalled) {
  const Words places = preload_places("/build/tools/ktls-bridge");
  ASSERT_EQ(places.size(), 2U);
  EXPECT_EQ(places.front(), "/build/tools/ktls-bridge/../preload/libktls-bridge-preload.so");
  EXPECT_TRUE(places.back().ends_with("/ktls-bridge/libktls-bridge-preload.so"));
  EXPECT_NE(places.back(), places.front());
}

TEST_F(PreloadPlaces, AreTriedInTurn) {
  const std::string there = make("there.so");
  const std::string nowhere = folder_ / "nowhere.so";
  EXPECT_EQ(find_preload({nowhere, there}).value(), std::filesystem::canonical(there));
  const auto missing = find_preload({nowhere, folder_ / "neither.so"});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().detail.find("nowhere.so"), std::string::npos);
  EXPECT_NE(missing.error().detail.find("neither.so"), std::string::npos);
}

TEST_F(PreloadPlaces, AreNoneThatTheListCannotHold) {
  EXPECT_FALSE(find_preload({make("with space/library.so")}));
  EXPECT_FALSE(find_preload({make("with:colon.so")}));
}

TEST(ProgramDirectory, IsThatOfThisProgram) {
  const auto directory = program_directory();
  ASSERT_TRUE(directory);
  EXPECT_EQ(*directory, std::filesystem::read_symlink("/proc/self/exe").parent_path());
}

}  // namespace
}  // namespace tools
