// The text format, line by line:
// https://prometheus.io/docs/instrumenting/exposition_formats/

#include "tools/metrics/exposition.h"

#include <array>
#include <charconv>

namespace metrics {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Bytes of the UTF-8 character at the start of `text`; 0: there is none (RFC 3629 section 4).
std::size_t character_size(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xc2 && lead <= 0xdf   ? 2
                           : lead >= 0xe0 && lead <= 0xef ? 3
                           : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                          : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Too long a form, a surrogate, or beyond U+10FFFF.
  const bool is_other = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
                        (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f);
  return is_other ? 0 : size;
}

void append_escaped(std::string& page, std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    if (size == 0) {
      page += kReplacement;
    } else if (text.front() == '\n') {
      page += "\\n";
    } else {
      if (text.front() == '\\' || text.front() == '"') page += '\\';
      page += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
}

}  // namespace

std::string number_text(double number) {
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  static_cast<void>(error);
  return {digits.data(), end};
}

void Exposition::begin_family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  page_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  page_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::begin_sample(const LabelPairs& labels, std::string_view suffix) {
  page_.append(name_).append(suffix);
  std::string_view separator = "{";
  for (const auto& [name, value] : labels) {
    page_.append(separator).append(name).append("=\"");
    append_escaped(page_, value);
    page_ += '"';
    separator = ",";
  }
  page_ += labels.empty() ? " " : "} ";
}

void Exposition::add_sample(const LabelPairs& labels, std::uint64_t value,
                            std::string_view suffix) {
  begin_sample(labels, suffix);
  page_.append(std::to_string(value)).append("\n");
}

void Exposition::add_sample(const LabelPairs& labels, double value, std::string_view suffix) {
  begin_sample(labels, suffix);
  page_.append(number_text(value)).append("\n");
}

}  // namespace metrics
