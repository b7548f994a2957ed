// --ticket-keys and --tickets: what is taken, and what is refused before anything begins.
#include "tools/ktls-bridge/ticket_flags.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <gtest/gtest.h>

namespace tools {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  TlsOptions options;
  std::string objection;  // empty: none
};

Parsed parse(Words words) {
  Parsed parsed;
  CLI::App app;
  add_ticket_flags(app, parsed.options);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
    if (const auto valid = validate(parsed.options); !valid) {
      parsed.objection = valid.error().detail;
    }
  } catch (const CLI::Error& error) {
    parsed.objection = error.what();
  }
  return parsed;
}

TEST(TicketFlags, LeaveKeysAndNumberToUsWhereThereAreNone) {
  const auto [options, objection] = parse({});
  EXPECT_EQ(objection, "");
  EXPECT_FALSE(has_ticket_flags(options));
  EXPECT_EQ(options.tickets, std::nullopt);
}

TEST(TicketFlags, TakeFilesInTheirOrder) {
  const auto [options, objection] =
      parse({"--ticket-keys", "b", "--ticket-keys=a", "--tickets", "16"});
  EXPECT_EQ(objection, "");
  EXPECT_TRUE(has_ticket_flags(options));
  EXPECT_EQ(options.ticket_key_files, (Words{"b", "a"}));
  EXPECT_EQ(options.tickets, 16U);
}

TEST(TicketFlags, TakeNoTicketsAsAnAnswer) {
  const auto [options, objection] = parse({"--tickets", "0"});
  EXPECT_EQ(objection, "");
  EXPECT_TRUE(has_ticket_flags(options));
  EXPECT_EQ(options.tickets, 0U);
}

TEST(TicketFlags, RefuseWhatIsNoNumberOfTickets) {
  for (const std::string value : {"17", "-1", "two", ""}) {
    EXPECT_NE(parse({"--tickets", value}).objection.find("--tickets"), std::string::npos) << value;
  }
}

TEST(TicketFlags, RefuseKeysForNoTickets) {
  EXPECT_EQ(parse({"--ticket-keys", "a", "--tickets", "0"}).objection,
            "--ticket-keys and --tickets 0 exclude each other");
}

TEST(TicketFlags, TakeSixteenFilesAndNoMore) {
  Words words;
  for (int i = 0; i < 16; ++i) words.push_back("--ticket-keys=" + std::to_string(i));
  EXPECT_EQ(parse(words).objection, "");
  words.emplace_back("--ticket-keys=16");
  EXPECT_EQ(parse(words).objection, "--ticket-keys: at most 16 files");
}

}  // namespace
}  // namespace tools
