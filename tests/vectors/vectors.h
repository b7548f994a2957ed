// Known answers for tests: hexadecimal bytes, and the *.jsonl files of this folder.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace vectors {

using Bytes = std::vector<std::uint8_t>;

inline std::uint8_t nibble(char digit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto value = kDigits.find(digit);
  if (value == std::string_view::npos) throw std::invalid_argument("not lower-case hex");
  return static_cast<std::uint8_t>(value);
}

inline Bytes from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) throw std::invalid_argument("odd number of hex digits");
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(nibble(hex[i]) << 4 | nibble(hex[i + 1])));
  }
  return bytes;
}

inline std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 0xf]);
  }
  return hex;
}

// Member `name` of `object`, which is a string of hex digits.
inline Bytes bytes_of(const nlohmann::json& object, const char* name) {
  return from_hex(object.at(name).get<std::string>());
}

// The lines of file `name` of this folder, one object each. Throws if there is none: a test that
// ran on no vectors would prove nothing.
inline std::vector<nlohmann::json> read_lines(const std::string& name) {
  std::ifstream file(std::string(KTLS_VECTORS_DIR "/") + name);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  if (lines.empty()) throw std::runtime_error("no vectors in " + name);
  return lines;
}

}  // namespace vectors
