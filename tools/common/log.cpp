// Log over spdlog: the formats are ours, the sink, the clock and the locking are its.

#include "tools/common/log.h"

#include <algorithm>
#include <chrono>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "tools/common/service_name.h"

namespace tools {
namespace {

constexpr std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "?";
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string now_utc() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

bool is_plain(char c) {
  return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

std::string escaped(std::string_view value) {
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_plain)) {
    return std::string(value);
  }
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c >= ' ' && c < 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out + "\"";
}

std::string text_of(const LogValue& value) {
  struct Visitor {
    std::string operator()(const std::string& text) const { return escaped(text); }
    std::string operator()(bool yes) const { return yes ? "yes" : "no"; }
    std::string operator()(double number) const { return fmt::format("{:.3f}", number); }
    std::string operator()(std::int64_t number) const { return fmt::to_string(number); }
    std::string operator()(std::uint64_t number) const { return fmt::to_string(number); }
  };
  return std::visit(Visitor{}, value);
}

std::string json_line(LogLevel level, std::string_view event, const LogFields& fields) {
  nlohmann::ordered_json line;
  line["time"] = now_utc();
  line["level"] = name_of(level);
  line["event"] = event;
  for (const auto& [key, value] : fields) {
    std::visit([&](const auto& each) { line[std::string(key)] = each; }, value);
  }
  // Bytes that are not UTF-8 are replaced: a peer's name must not stop the log.
  return line.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte != 0x7f) {
      line += c;
    } else {
      line += fmt::format("\\x{:02x}", byte);
    }
  }
  return line;
}

std::string text_line(std::string_view event, const LogFields& fields) {
  std::string line(event);
  for (const auto& [key, value] : fields) {
    line.append(" ").append(key).append("=").append(text_of(value));
  }
  return line;
}

Log::Log(LogFormat format, LogLevel least)
    : format_(format),
      least_(least),
      logger_(std::make_shared<spdlog::logger>("ktls-bridge",
                                               std::make_shared<spdlog::sinks::stderr_sink_mt>())) {
  logger_->set_pattern("%v");
  logger_->set_level(spdlog_level(least));
  logger_->flush_on(spdlog::level::debug);
}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view event, const LogFields& own_fields) const {
  if (!enabled(level)) return;
  LogFields fields;
  if (!service_name().empty()) fields.emplace_back("service", service_name());
  fields.insert(fields.end(), own_fields.begin(), own_fields.end());
  const std::string line =
      format_ == LogFormat::kJson
          ? json_line(level, event, fields)
          : fmt::format("{} {} {}", now_utc(), name_of(level), text_line(event, fields));
  logger_->log(spdlog_level(level), line);
}

}  // namespace tools
