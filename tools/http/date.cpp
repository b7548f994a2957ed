#include "tools/http/date.h"

#include <algorithm>
#include <cstdint>

namespace http {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::array<std::string_view, 7> kLongDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                       "Thursday", "Friday", "Saturday"};

constexpr Seconds kFirst = sys_days{std::chrono::year{0} / 1 / 1};
constexpr Seconds kLast = sys_days{std::chrono::year{10000} / 1 / 1} - seconds{1};

std::string_view name_at(std::string_view names, std::size_t i) {
  return names.substr(i * 3, 3);
}

// Writes from the front; the callers' forms add up to the array's size.
class Writer {
 public:
  explicit Writer(char* out) : out_(out) {}

  void put(std::string_view text) { out_ = std::copy(text.begin(), text.end(), out_); }
  void put_two(std::int64_t number) {
    *out_++ = static_cast<char>('0' + number / 10 % 10);
    *out_++ = static_cast<char>('0' + number % 10);
  }

 private:
  char* out_;
};

// Reads from the front. After the first thing that is not as expected, everything fails.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void expect(std::string_view text) {
    is_good_ = is_good_ && rest_.starts_with(text);
    if (is_good_) rest_.remove_prefix(text.size());
  }

  [[nodiscard]] int number(std::size_t digits) {
    int value = 0;
    for (const char c : take(digits)) {
      is_good_ = is_good_ && c >= '0' && c <= '9';
      value = value * 10 + (c - '0');
    }
    return value;
  }

  // The index, from 0, of the next three letters in a row of such names.
  [[nodiscard]] unsigned name_of(std::string_view names) {
    const std::string_view name = take(3);
    for (unsigned i = 0; is_good_ && i < names.size() / 3; ++i) {
      if (name_at(names, i) == name) return i;
    }
    is_good_ = false;
    return 0;
  }

  // asctime() pads with a space where the others have a zero.
  [[nodiscard]] int padded_day() {
    if (!rest_.starts_with(' ')) return number(2);
    expect(" ");
    return number(1);
  }

  [[nodiscard]] bool starts_with(std::string_view text) const { return rest_.starts_with(text); }
  [[nodiscard]] bool is_done() const { return is_good_ && rest_.empty(); }

 private:
  [[nodiscard]] std::string_view take(std::size_t size) {
    is_good_ = is_good_ && rest_.size() >= size;
    if (!is_good_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  bool is_good_ = true;
};

struct Parts {
  int year = 0;
  unsigned month = 0;  // from 0
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

void read_time(Scanner& scanner, Parts& parts) {
  parts.hour = scanner.number(2);
  scanner.expect(":");
  parts.minute = scanner.number(2);
  scanner.expect(":");
  parts.second = scanner.number(2);
}

// "Sunday, 06-Nov-94 08:49:37 GMT", from behind the comma.
void read_rfc850(Scanner& scanner, Parts& parts, Seconds now) {
  parts.day = scanner.number(2);
  scanner.expect("-");
  parts.month = scanner.name_of(kMonths);
  scanner.expect("-");
  const int this_year = int{std::chrono::year_month_day{std::chrono::floor<days>(now)}.year()};
  parts.year = this_year - this_year % 100 + scanner.number(2);
  scanner.expect(" ");
  read_time(scanner, parts);
  scanner.expect(" GMT");
}

// "06 Nov 1994 08:49:37 GMT"
void read_imf_fixdate(Scanner& scanner, Parts& parts) {
  parts.day = scanner.number(2);
  scanner.expect(" ");
  parts.month = scanner.name_of(kMonths);
  scanner.expect(" ");
  parts.year = scanner.number(4);
  scanner.expect(" ");
  read_time(scanner, parts);
  scanner.expect(" GMT");
}

// "Nov  6 08:49:37 1994"
void read_asctime(Scanner& scanner, Parts& parts) {
  parts.month = scanner.name_of(kMonths);
  scanner.expect(" ");
  parts.day = scanner.padded_day();
  scanner.expect(" ");
  read_time(scanner, parts);
  scanner.expect(" ");
  parts.year = scanner.number(4);
}

std::optional<Seconds> to_seconds(const Parts& parts) {
  const std::chrono::year_month_day date{std::chrono::year{parts.year},
                                         std::chrono::month{parts.month + 1},
                                         std::chrono::day{static_cast<unsigned>(parts.day)}};
  if (!date.ok() || parts.hour > 23 || parts.minute > 59 || parts.second > 60) return std::nullopt;
  return sys_days{date} + hours{parts.hour} + minutes{parts.minute} + seconds{parts.second};
}

// "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST
// interpret a timestamp that appears to be more than 50 years in the future as representing the
// most recent year in the past that had the same last two digits."
std::optional<Seconds> to_seconds_in_century(Parts parts, Seconds now) {
  const auto today = std::chrono::floor<days>(now);
  const auto limit =
      sys_days{std::chrono::year_month_day{today} + std::chrono::years{50}} + (now - today);
  const auto date = to_seconds(parts);
  if (!date || *date <= limit) return date;
  parts.year -= 100;
  return to_seconds(parts);
}

}  // namespace

ImfFixdate imf_fixdate(Seconds time) {
  time = std::clamp(time, kFirst, kLast);
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  const std::int64_t since_midnight = (time - day).count();
  const int year = int{date.year()};

  ImfFixdate written{};
  Writer writer(written.data());
  writer.put(name_at(kDays, std::chrono::weekday{day}.c_encoding()));
  writer.put(", ");
  writer.put_two(unsigned{date.day()});
  writer.put(" ");
  writer.put(name_at(kMonths, unsigned{date.month()} - 1));
  writer.put(" ");
  writer.put_two(year / 100);
  writer.put_two(year % 100);
  writer.put(" ");
  writer.put_two(since_midnight / 3600);
  writer.put(":");
  writer.put_two(since_midnight / 60 % 60);
  writer.put(":");
  writer.put_two(since_midnight % 60);
  writer.put(" GMT");
  return written;
}

std::optional<Seconds> parse_date(std::string_view text, Seconds now) {
  Parts parts;
  const auto* const long_day = std::find_if(kLongDays.begin(), kLongDays.end(), [&](auto name) {
    return text.starts_with(name) && text.substr(name.size()).starts_with(", ");
  });
  const bool is_rfc850 = long_day != kLongDays.end();
  Scanner scanner(is_rfc850 ? text.substr(long_day->size()) : text);
  if (is_rfc850) {
    scanner.expect(", ");
    read_rfc850(scanner, parts, now);
  } else {
    static_cast<void>(scanner.name_of(kDays));
    const bool is_imf_fixdate = scanner.starts_with(",");
    scanner.expect(is_imf_fixdate ? ", " : " ");
    if (is_imf_fixdate) {
      read_imf_fixdate(scanner, parts);
    } else {
      read_asctime(scanner, parts);
    }
  }
  if (!scanner.is_done()) return std::nullopt;
  return is_rfc850 ? to_seconds_in_century(parts, now) : to_seconds(parts);
}

}  // namespace http
