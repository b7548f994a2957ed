// Known answers for tests: hexadecimal bytes, and the *.jsonl files of this folder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace vectors {

using Bytes = std::vector<std::uint8_t>;

// Lower-case digits only; throws std::invalid_argument for anything else.
[[nodiscard]] Bytes from_hex(std::string_view hex);
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);

// One JSON object of a file. A member that is missing, or of another type, throws: a test that ran
// on less than it thinks would prove nothing. The JSON library stays out of this header, because
// it takes a compiler longer than any test that reads vectors.
class Vector {
 public:
  explicit Vector(const nlohmann::json& object);

  [[nodiscard]] bool has(const std::string& name) const;
  [[nodiscard]] std::string text(const std::string& name) const;
  [[nodiscard]] std::uint64_t number(const std::string& name) const;
  [[nodiscard]] bool flag(const std::string& name) const;
  // A string of hex digits: as bytes, or as one number.
  [[nodiscard]] Bytes bytes(const std::string& name) const;
  [[nodiscard]] std::uint64_t hex_number(const std::string& name) const;
  [[nodiscard]] Vector object(const std::string& name) const;
  [[nodiscard]] std::vector<Vector> list(const std::string& name) const;

 private:
  std::shared_ptr<const nlohmann::json> object_;
};

// The lines of file `name` of this folder. Throws if there are none.
[[nodiscard]] std::vector<Vector> read_lines(const std::string& name);

}  // namespace vectors
