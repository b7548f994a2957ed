// Parsing of durations, and their flags.

#include "tools/ktls-bridge/duration_flag.h"

#include <charconv>
#include <cstdint>
#include <map>

#include <CLI/CLI.hpp>

namespace tools {
namespace {

using std::chrono::milliseconds;

milliseconds parse_duration(const std::string& flag, const std::string& text) {
  static const std::map<std::string, std::int64_t> units = {
      {"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  constexpr std::int64_t kLargest = 1'000'000'000;  // far from overflow in any unit
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const auto unit = units.find(std::string(end, text.data() + text.size()));
  if (error != std::errc() || unit == units.end() || count < 0 || count > kLargest) {
    throw CLI::ValidationError(flag,
                               "'" + text + "' is not a duration such as 500ms, 10s, 5m or 2h");
  }
  return milliseconds(count * unit->second);
}

}  // namespace

CLI::Option* add_duration(CLI::App& app, const DurationFlag& flag, milliseconds& value) {
  value = flag.initial;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(flag.initial);
  const bool is_whole = flag.initial == seconds;
  const auto parse = [&value, name = flag.name, least = flag.least](const std::string& given) {
    value = parse_duration(name, given);
    if (value < least) throw CLI::ValidationError(name, "must be longer than 0");
  };
  return app.add_option_function<std::string>(flag.name, parse, flag.text)
      ->type_name("DURATION")
      ->default_str(is_whole ? std::to_string(seconds.count()) + "s"
                             : std::to_string(flag.initial.count()) + "ms")
      ->group("Limits");
}

}  // namespace tools
