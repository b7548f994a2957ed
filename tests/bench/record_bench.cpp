// How fast records are sealed and opened, beside libcrypto alone and beside libssl: one line of
// JSON a cell and size, for scripts/bench.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/contender.h"

namespace tls::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array<std::size_t, 3> kContentSizes = {64, 1024, 16384};
// SSLv2's header with padding says 2^14 - 1 at most, padding and MAC included.
constexpr std::size_t kSsl2ContentSizeMax = 16000;
// A batch is long enough that reading the clock (some 25 ns) is nothing, short enough that most
// are not interrupted, and small enough to stay in a level-2 cache.
constexpr std::size_t kBatchSize = 131072;
constexpr std::size_t kBatchRecordsMax = 512;

struct Options {
  int rounds = 9;
  std::chrono::microseconds slice{4000};
  std::string only;
};

struct Samples {
  std::vector<double> seal_ns;  // a record, one for each round
  std::vector<double> open_ns;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double ns_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - start).count();
}

// Batches until the slice is over. The median batch is one that nothing interrupted, whatever else
// the machine does.
void measure(Contender& contender, const Load& load, std::chrono::microseconds slice,
             Samples& samples) {
  std::vector<double> seal_ns;
  std::vector<double> open_ns;
  const auto end = Clock::now() + slice;
  do {
    const auto start = Clock::now();
    contender.seal_batch();
    const auto sealed = Clock::now();
    contender.open_batch();
    const auto opened = Clock::now();
    seal_ns.push_back(ns_between(start, sealed) / static_cast<double>(load.records));
    open_ns.push_back(ns_between(sealed, opened) / static_cast<double>(load.records));
  } while (Clock::now() < end);
  samples.seal_ns.push_back(median(std::move(seal_ns)));
  samples.open_ns.push_back(median(std::move(open_ns)));
}

struct Entrant {
  std::string_view name;
  std::unique_ptr<Contender> contender;
  Samples samples = {};
};

nlohmann::json report(const RecordCell& cell, const Load& load,
                      const std::vector<Entrant>& entrants) {
  nlohmann::json line = {{"cipher", cell.name()},
                         {"version", name_of(cell.version)},
                         {"aead", cell.suite->bulk_cipher->kind == ProtectionKind::kAead},
                         {"size", load.content_size}};
  const Samples& ours = entrants.front().samples;
  for (const Entrant& entrant : entrants) {
    const Samples& samples = entrant.samples;
    nlohmann::json figures = {{"seal_ns", median(samples.seal_ns)},
                              {"open_ns", median(samples.open_ns)}};
    // Each round's figures were taken right after each other, so their ratio is steadier than that
    // of the medians.
    std::vector<double> seal_ratio;
    std::vector<double> open_ratio;
    for (std::size_t i = 0; i < samples.seal_ns.size(); ++i) {
      seal_ratio.push_back(ours.seal_ns[i] / samples.seal_ns[i]);
      open_ratio.push_back(ours.open_ns[i] / samples.open_ns[i]);
    }
    figures["seal_time_ratio"] = median(std::move(seal_ratio));
    figures["open_time_ratio"] = median(std::move(open_ratio));
    line[std::string(entrant.name)] = std::move(figures);
  }
  return line;
}

void run(const RecordCell& cell, std::size_t content_size, const Options& options) {
  if (cell.version == ProtocolVersion::kSsl2) {
    content_size = std::min(content_size, kSsl2ContentSizeMax);
  }
  const Load load = {content_size,
                     std::clamp(kBatchSize / content_size, std::size_t{1}, kBatchRecordsMax)};
  std::vector<Entrant> entrants;
  entrants.push_back({"bridge", make_bridge_contender(cell, load)});
  if (auto evp = make_evp_contender(cell, load)) entrants.push_back({"evp", std::move(evp)});
  if (auto libssl = make_libssl_contender(cell, load)) {
    entrants.push_back({"libssl", std::move(libssl)});
  }
  Samples warm_up;
  for (Entrant& entrant : entrants) {
    measure(*entrant.contender, load, options.slice / 4, warm_up);
  }
  for (int round = 0; round < options.rounds; ++round) {
    // Every other round goes the other way, so that none is always the first.
    if (round % 2 == 0) {
      for (Entrant& entrant : entrants) {
        measure(*entrant.contender, load, options.slice, entrant.samples);
      }
    } else {
      for (auto entrant = entrants.rbegin(); entrant != entrants.rend(); ++entrant) {
        measure(*entrant->contender, load, options.slice, entrant->samples);
      }
    }
  }
  std::puts(report(cell, load, entrants).dump().c_str());
  std::fflush(stdout);
}

bool is_chosen(const RecordCell& cell, const std::string& only) {
  const std::string name = cell.name() + " " + std::string(name_of(cell.version));
  return name.find(only) != std::string::npos;
}

int number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw std::runtime_error("not a number above 0: " + std::string(text));
  }
  return value;
}

Options parse(std::span<char* const> arguments) {
  Options options;
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string_view name = arguments[i];
    if (i + 1 == arguments.size()) throw std::runtime_error("no value for " + std::string(name));
    const std::string_view value = arguments[i + 1];
    if (name == "--rounds") {
      options.rounds = number(value);
    } else if (name == "--slice-us") {
      options.slice = std::chrono::microseconds(number(value));
    } else if (name == "--only") {
      options.only = value;
    } else {
      throw std::runtime_error("usage: record_bench [--rounds N] [--slice-us N] [--only TEXT]");
    }
  }
  return options;
}

}  // namespace
}  // namespace tls::bench

int main(int argc, char** argv) {
  using namespace tls::bench;
  try {
    const Options options = parse({argv, static_cast<std::size_t>(argc)});
    for (const RecordCell& cell : record_cells()) {
      if (!is_chosen(cell, options.only)) continue;
      for (const std::size_t size : kContentSizes) run(cell, size, options);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "record_bench: %s\n", error.what());
    return 1;
  }
}
