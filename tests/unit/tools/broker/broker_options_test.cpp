#include "tools/broker/broker_options.h"

#include <algorithm>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

BrokerOptions parse(std::vector<std::string> words) {
  CLI::App app;
  BrokerOptions options;
  add_broker_command(app, options);
  words.insert(words.begin(), "broker");
  std::reverse(words.begin(), words.end());  // as CLI11 takes a vector
  app.parse(words);
  return options;
}

TEST(BrokerOptions, HaveDefaults) {
  const BrokerOptions options = parse({});
  EXPECT_EQ(options.socket, "/run/ktls-bridge/broker.sock");
  EXPECT_EQ(options.max_handshakes, 1024U);
  EXPECT_EQ(options.max_per_client, 1024U);
  EXPECT_TRUE(options.users.empty());
  EXPECT_TRUE(validate(options));
}

TEST(BrokerOptions, TakeUsersAndGroupsByNameAndByNumber) {
  const BrokerOptions options =
      parse({"--allow-user", "root,4711", "--allow-user", "4712", "--allow-group", "root"});
  EXPECT_EQ(options.users, (std::vector<uid_t>{0, 4711, 4712}));
  EXPECT_EQ(options.groups, (std::vector<gid_t>{0}));
}

TEST(BrokerOptions, RefuseNamesThatNobodyHas) {
  EXPECT_THROW(parse({"--allow-user", "no such user"}), CLI::ValidationError);
  EXPECT_THROW(parse({"--allow-group", "no such group"}), CLI::ValidationError);
  EXPECT_THROW(parse({"--max-handshakes", "0"}), CLI::ValidationError);
}

TEST(BrokerOptions, RefuseAPathThatIsTooLong) {
  EXPECT_FALSE(validate(parse({"--socket", std::string(108, 'x')})));
  EXPECT_TRUE(validate(parse({"--socket", std::string(107, 'x')})));
}

TEST(BrokerOptions, LimitTheVersionWhereThatWasAskedFor) {
  EXPECT_TRUE(parse({"--no-rekey", "tls12"}).tls.tls12_without_rekey);
  EXPECT_FALSE(parse({"--no-rekey", "relay"}).tls.tls12_without_rekey);
}

}  // namespace
}  // namespace tools
