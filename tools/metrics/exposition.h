// Exposition: a page in the text format of Prometheus, version 0.0.4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics {

inline constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

using LabelPairs = std::vector<std::pair<std::string_view, std::string_view>>;

// Families one after the other, each with all its samples.
class Exposition {
 public:
  // `type`: counter, gauge or histogram. The samples that follow are of it.
  void begin_family(std::string_view name, std::string_view type, std::string_view help);
  // `suffix`: _bucket, _sum and _count of a histogram. Values of labels may hold anything: they are
  // escaped, and what is not UTF-8 is replaced, since nothing of a page with such a byte is read.
  void add_sample(const LabelPairs& labels, std::uint64_t value, std::string_view suffix = {});
  void add_sample(const LabelPairs& labels, double value, std::string_view suffix = {});

  [[nodiscard]] std::string take() { return std::move(page_); }

 private:
  void begin_sample(const LabelPairs& labels, std::string_view suffix);

  std::string page_;
  std::string_view name_;  // of the family
};

// As a label's value: "0.005".
[[nodiscard]] std::string number_text(double number);

}  // namespace metrics
