// Counting without locks, and adding up.

#include "tools/metrics/metrics.h"

#include <algorithm>

namespace metrics {
namespace {

// Of x86-64 and most others; std::hardware_destructive_interference_size changes with the compiler.
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kBuckets = kDurationBounds.size() + 1;

using Cell = std::atomic<std::uint64_t>;
struct alignas(kCacheLine) Line {
  std::array<Cell, kCacheLine / sizeof(Cell)> cells{};
};

std::size_t place_of(const Row& row, std::initializer_list<std::size_t> labels) {
  std::size_t place = 0;
  auto label = row.labels.begin();
  for (const std::size_t value : labels) place = place * (label++)->values.size() + value;
  return row.first + place;
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

// The cells of one thread: those of the rows, then the buckets, then the microseconds.
class Metrics::Cells {
 public:
  Cells() : lines_((cell_count() + kBuckets + 1) / kPerLine + 1) {}

  // On their own thread, which is the only one to write: no bus lock is needed.
  void add(std::size_t place, std::uint64_t count) {
    Cell& cell = at(place);
    cell.store(cell.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t read(std::size_t place) const {
    return lines_[place / kPerLine].cells[place % kPerLine].load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kPerLine = kCacheLine / sizeof(Cell);
  [[nodiscard]] Cell& at(std::size_t place) {
    return lines_[place / kPerLine].cells[place % kPerLine];
  }

  std::vector<Line> lines_;
};

std::uint64_t Totals::of(Series series, std::initializer_list<std::size_t> labels) const {
  return cells[place_of(row_of(series), labels)];
}

Metrics::Metrics() : number_(next_number()) {}
Metrics::~Metrics() = default;

Metrics::Cells& Metrics::here() {
  struct Known {
    std::uint64_t number = 0;
    Cells* cells = nullptr;
  };
  thread_local Known known;
  if (known.cells != nullptr && known.number == number_) return *known.cells;
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Cells>& mine = cells_[std::this_thread::get_id()];
  if (mine == nullptr) mine = std::make_unique<Cells>();
  known = {.number = number_, .cells = mine.get()};
  return *mine;
}

void Metrics::add(Series series, std::initializer_list<std::size_t> labels, std::uint64_t count) {
  here().add(place_of(row_of(series), labels), count);
}

void Metrics::subtract(Series series, std::initializer_list<std::size_t> labels) {
  here().add(place_of(row_of(series), labels), ~std::uint64_t{0});
}

void Metrics::add_duration(std::chrono::nanoseconds duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(kDurationBounds, seconds) -
                                               kDurationBounds.begin());
  Cells& cells = here();
  cells.add(cell_count() + bucket, 1);
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(duration);
  cells.add(cell_count() + kBuckets, static_cast<std::uint64_t>(microseconds.count()));
}

Totals Metrics::totals() const {
  Totals totals;
  totals.cells.resize(cell_count());
  std::uint64_t microseconds = 0;
  const std::lock_guard lock(mutex_);
  for (const auto& [thread, cells] : cells_) {
    for (std::size_t i = 0; i < totals.cells.size(); ++i) totals.cells[i] += cells->read(i);
    for (std::size_t i = 0; i < kBuckets; ++i) {
      totals.buckets[i] += cells->read(cell_count() + i);
    }
    microseconds += cells->read(cell_count() + kBuckets);
  }
  totals.seconds = std::chrono::duration<double>(std::chrono::microseconds(microseconds)).count();
  return totals;
}

void Metrics::alert_sent(tls::AlertDescription alert) {
  add(Series::kAlerts, {index_of(Direction::kSent), alert_index(alert)});
}

void Metrics::alert_received(tls::AlertDescription alert) {
  add(Series::kAlerts, {index_of(Direction::kReceived), alert_index(alert)});
}

void Metrics::key_update_sent() {
  add(Series::kKeyUpdates, {index_of(Direction::kSent)});
}

void Metrics::key_update_received() {
  add(Series::kKeyUpdates, {index_of(Direction::kReceived)});
}

}  // namespace metrics
