// Flags whose value is a duration: 500ms, 10s, 5m, 2h, or a bare number of seconds.
#pragma once

#include <chrono>
#include <string>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tools {

// A timeout of nothing would end every connection at once.
inline constexpr std::chrono::milliseconds kLeastTimeout{1};

// What add_duration() needs to know of a flag.
//   initial  its default, as the help shows it
//   least    what is shorter is refused
struct DurationFlag {
  std::string name;
  std::chrono::milliseconds initial;
  std::chrono::milliseconds least;
  std::string text;
};

// Adds the flag to the group "Limits"; `value` is borrowed until the command line is parsed. What
// is no duration raises CLI::ValidationError.
CLI::Option* add_duration(CLI::App& app, const DurationFlag& flag,
                          std::chrono::milliseconds& value);

}  // namespace tools
