// Reading of known answers.
#include "tests/vectors/vectors.h"

#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace vectors {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::uint8_t nibble(char digit) {
  const auto value = kDigits.find(digit);
  if (value == std::string_view::npos) throw std::invalid_argument("not lower-case hex");
  return static_cast<std::uint8_t>(value);
}

}  // namespace

Bytes from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) throw std::invalid_argument("odd number of hex digits");
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(nibble(hex[i]) << 4 | nibble(hex[i + 1])));
  }
  return bytes;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 0xf]);
  }
  return hex;
}

Vector::Vector(const nlohmann::json& object)
    : object_(std::make_shared<const nlohmann::json>(object)) {}

bool Vector::has(const std::string& name) const {
  return object_->contains(name);
}

std::string Vector::text(const std::string& name) const {
  return object_->at(name).get<std::string>();
}

std::uint64_t Vector::number(const std::string& name) const {
  return object_->at(name).get<std::uint64_t>();
}

bool Vector::flag(const std::string& name) const {
  return object_->at(name).get<bool>();
}

Bytes Vector::bytes(const std::string& name) const {
  return from_hex(text(name));
}

std::uint64_t Vector::hex_number(const std::string& name) const {
  return std::stoull(text(name), nullptr, 16);
}

Vector Vector::object(const std::string& name) const {
  return Vector(object_->at(name));
}

std::vector<Vector> Vector::list(const std::string& name) const {
  std::vector<Vector> vectors;
  for (const nlohmann::json& entry : object_->at(name)) vectors.emplace_back(entry);
  return vectors;
}

std::vector<Vector> read_lines(const std::string& name) {
  std::ifstream file(std::string(KTLS_VECTORS_DIR "/") + name);
  std::vector<Vector> lines;
  for (std::string line; std::getline(file, line);) {
    lines.emplace_back(nlohmann::json::parse(line));
  }
  if (lines.empty()) throw std::runtime_error("no vectors in " + name);
  return lines;
}

}  // namespace vectors
