// Log: one line an event, as key=value text or as JSON, to standard error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace spdlog {
class logger;
}

namespace tools {

enum class LogFormat : std::uint8_t { kText, kJson };
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

using LogValue = std::variant<std::string, std::int64_t, std::uint64_t, double, bool>;
using LogFields = std::vector<std::pair<std::string_view, LogValue>>;

// Thread-safe. A value that came from a peer may hold anything: whatever is not printable ASCII is
// escaped, so that nobody can forge a line.
class Log {
 public:
  Log(LogFormat format, LogLevel least);
  ~Log();

  void write(LogLevel level, std::string_view event, const LogFields& fields) const;
  [[nodiscard]] bool enabled(LogLevel level) const { return level >= least_; }

 private:
  LogFormat format_;
  LogLevel least_;
  std::shared_ptr<spdlog::logger> logger_;
};

// `text` with its control characters as \xNN, so that a message stays one line.
[[nodiscard]] std::string one_line(std::string_view text);

// `event key=value …` without time and level; exposed for tests.
[[nodiscard]] std::string text_line(std::string_view event, const LogFields& fields);

}  // namespace tools
