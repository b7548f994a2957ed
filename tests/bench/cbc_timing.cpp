// Whether the time that CbcProtection::open() takes tells what a record decrypted to: two classes
// of records that are all refused, in random order, and Welch's t of their times (after dudect,
// "Dude, is my code constant time?", Reparaz, Balasch and Verbauwhede, 2017).
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "userspace/crypto/cbc_cipher.h"
#include "userspace/record/cbc_protection.h"
#include "userspace/record/record_mac.h"
#include "userspace/suite/cipher_suite.h"

namespace {

using Bytes = std::vector<std::uint8_t>;
using tls::ProtocolVersion;

// What dudect takes for the limit; with classes that are the same, |t| is below 5 in all but one of
// a million cases.
constexpr double kThreshold = 10;
constexpr std::size_t kSamples = 200'000;
constexpr std::size_t kWarmUp = 2'000;
// Each class has so many records, all of which are in the cache.
constexpr std::size_t kRecords = 16;
constexpr std::size_t kRecordSize = 512;
// Times above these parts of all are left out: interrupts, and whoever else is on the machine.
constexpr std::array kCrops = {1.0, 0.99, 0.95, 0.9, 0.8, 0.5};

const char* const kUsage =
    "usage: cbc_timing [--samples N]\n"
    "\n"
    "Prints Welch's t for each cipher and pair of classes: the largest |t| over several crops of\n"
    "the slowest samples. The controls leak, and must be seen to.\n"
    "\n"
    "  --samples N  opened records for each line (default 200000)\n"
    "\n"
    "exit status: 0 if no |t| but the controls' is 10 or more, and theirs are; 1 otherwise.\n"
    "\n"
    "examples:\n"
    "  cbc_timing\n"
    "  cbc_timing --samples 2000000    finds smaller differences\n";

[[noreturn]] void stop(std::string_view why) {
  std::fprintf(stderr, "cbc_timing: %.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(2);
}

struct Row {
  const char* name;
  ProtocolVersion version;
  std::uint16_t suite;
};

constexpr std::array kRows = {
    Row{"SSLv3 AES-128-CBC SHA1", ProtocolVersion::kSsl3, 0x002F},
    Row{"SSLv3 3DES-EDE-CBC SHA1", ProtocolVersion::kSsl3, 0x000A},
    Row{"TLS 1.0 AES-128-CBC SHA1", ProtocolVersion::kTls10, 0x002F},
    Row{"TLS 1.0 3DES-EDE-CBC SHA1", ProtocolVersion::kTls10, 0x000A},
    Row{"TLS 1.2 AES-128-CBC SHA1", ProtocolVersion::kTls12, 0x002F},
    Row{"TLS 1.2 AES-128-CBC SHA256", ProtocolVersion::kTls12, 0xC027},
    Row{"TLS 1.2 AES-256-CBC SHA384", ProtocolVersion::kTls12, 0xC028},
    Row{"TLS 1.2 3DES-EDE-CBC SHA1", ProtocolVersion::kTls12, 0x000A},
};

// Returns whether the record was refused.
using Opener = std::function<bool(std::span<std::uint8_t>)>;
// Puts padding of one class or the other at the end of what will be encrypted.
using Padder = std::function<void(std::span<std::uint8_t>)>;

// One suite's keys, for CbcProtection and for the control.
class Subject {
 public:
  explicit Subject(const Row& row)
      : version_(row.version), suite_(tls::find_cipher_suite(row.suite)) {
    const tls::BulkCipher& cipher = *suite_->bulk_cipher;
    const Bytes key(cipher.key_size, 0x11);
    iv_ = Bytes(cipher.iv_size, 0x22);
    const Bytes mac_key(size_of(*suite_->mac), 0x33);
    const tls::TrafficKeys keys{
        .key = tls::WriteKey(key), .iv = tls::WriteIv(iv_), .mac_key = tls::MacKey(mac_key)};
    const Bytes block(cipher.block_size, 0x44);
    auto protection = tls::CbcProtection::create(version_, *suite_, keys, block);
    auto made_cipher = tls::CbcCipher::create(cipher, key);
    auto mac = tls::RecordMac::create(version_, *suite_->mac, keys.mac_key);
    if (!protection || !made_cipher || !mac) stop("no such suite here");
    protection_ = *std::move(protection);
    cipher_ = std::make_unique<tls::CbcCipher>(*std::move(made_cipher));
    mac_ = std::make_unique<tls::RecordMac>(*std::move(mac));
  }

  [[nodiscard]] std::size_t block_size() const { return suite_->bulk_cipher->block_size; }
  [[nodiscard]] bool is_ssl3() const { return version_ == ProtocolVersion::kSsl3; }

  // Random bytes with padding of the class, encrypted: the MAC of none is right.
  [[nodiscard]] Bytes record(const Padder& pad, std::mt19937_64& random) const {
    Bytes body(kRecordSize);
    for (std::uint8_t& byte : body) byte = static_cast<std::uint8_t>(random());
    pad(body);
    if (!cipher_->encrypt(iv_, body, body)) stop("a record was not encrypted");
    return body;
  }

  // A refused record changes nothing, so that each has the same state before it.
  [[nodiscard]] Opener constant_time() {
    return [this](std::span<std::uint8_t> body) {
      return !protection_->open(0,
                                {.type = tls::ContentType::kApplicationData,
                                 .version = static_cast<std::uint16_t>(version_),
                                 .body_size = body.size()},
                                body);
    };
  }

  // How it was done before Vaudenay's attack: the padding first, and a MAC of what it leaves.
  [[nodiscard]] Opener leaky() {
    return [this](std::span<std::uint8_t> body) {
      if (!cipher_->decrypt(iv_, body, body)) stop("a record was not decrypted");
      const std::size_t padding = std::size_t{body.back()} + 1;
      const bool is_good = padding + mac_->size() <= body.size() &&
                           std::ranges::all_of(body.last(padding), [&](std::uint8_t byte) {
                             return byte == body.back();
                           });
      if (!is_good) return true;
      Bytes expected(mac_->size());
      const auto content = body.first(body.size() - padding - mac_->size());
      if (!mac_->compute(0, tls::ContentType::kApplicationData, content, expected)) stop("no MAC");
      return !std::ranges::equal(expected, body.subspan(content.size(), mac_->size()));
    };
  }

 private:
  ProtocolVersion version_;
  const tls::CipherSuite* suite_;
  Bytes iv_;
  std::unique_ptr<tls::Protection> protection_;
  std::unique_ptr<tls::CbcCipher> cipher_;
  std::unique_ptr<tls::RecordMac> mac_;
};

Padder padding_of(std::size_t length) {
  return [length](std::span<std::uint8_t> body) {
    std::ranges::fill(body.last(length + 1), static_cast<std::uint8_t>(length));
  };
}

// Right but for the byte furthest from its end.
Padder broken_padding_of(std::size_t length) {
  return [length](std::span<std::uint8_t> body) {
    padding_of(length)(body);
    body[body.size() - 1 - length] ^= 1;
  };
}

struct Sample {
  bool is_second;
  double nanoseconds;
};

std::vector<Sample> measure(const Subject& subject, const Opener& open, const Padder& first,
                            const Padder& second, std::size_t count) {
  std::mt19937_64 random(1);
  std::array<std::vector<Bytes>, 2> records;
  for (std::size_t i = 0; i < kRecords; ++i) {
    records[0].push_back(subject.record(first, random));
    records[1].push_back(subject.record(second, random));
  }
  std::vector<Sample> samples;
  samples.reserve(count);
  Bytes body(kRecordSize);
  for (std::size_t i = 0; i < count + kWarmUp; ++i) {
    const std::uint64_t drawn = random();
    const bool is_second = (drawn & 1U) != 0;
    // Both are touched, so that neither class is the one in the cache.
    const std::size_t which = (drawn >> 1U) % kRecords;
    std::ranges::copy(records[is_second ? 0 : 1][which], body.begin());
    std::ranges::copy(records[is_second ? 1 : 0][which], body.begin());
    const auto began = std::chrono::steady_clock::now();
    const bool is_refused = open(body);
    const auto ended = std::chrono::steady_clock::now();
    if (!is_refused) stop("a bad record opened");
    if (i >= kWarmUp) {
      samples.push_back(
          {is_second, std::chrono::duration<double, std::nano>(ended - began).count()});
    }
  }
  return samples;
}

// Mean and variance as they come (Welford).
struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void add(double value) {
    count += 1;
    const double delta = value - mean;
    mean += delta / count;
    squares += delta * (value - mean);
  }
  [[nodiscard]] double variance() const { return count > 1 ? squares / (count - 1) : 0; }
};

struct Verdict {
  double t = 0;           // the largest over the crops
  double difference = 0;  // of the means at that crop, in nanoseconds
  double mean = 0;
};

Verdict judge(const std::vector<Sample>& samples) {
  std::vector<double> times;
  times.reserve(samples.size());
  for (const Sample& sample : samples) times.push_back(sample.nanoseconds);
  std::ranges::sort(times);
  Verdict verdict;
  for (const double crop : kCrops) {
    const auto last = static_cast<std::size_t>(crop * static_cast<double>(times.size())) - 1;
    std::array<Moments, 2> classes;
    for (const Sample& sample : samples) {
      if (sample.nanoseconds <= times[last])
        classes[sample.is_second ? 1 : 0].add(sample.nanoseconds);
    }
    const double error = std::sqrt(classes[0].variance() / classes[0].count +
                                   classes[1].variance() / classes[1].count);
    const double difference = classes[0].mean - classes[1].mean;
    const double t = error > 0 ? difference / error : 0;
    if (std::abs(t) >= std::abs(verdict.t)) verdict = {t, difference, classes[0].mean};
  }
  return verdict;
}

// Returns whether the verdict is the one that is wanted.
bool report(const char* name, const char* classes, const Verdict& verdict, bool must_leak) {
  const bool leaks = std::abs(verdict.t) >= kThreshold;
  std::printf("%-28s %-30s t %9.2f  difference %8.2f ns of %7.0f  %s\n", name, classes, verdict.t,
              verdict.difference, verdict.mean,
              leaks == must_leak ? "ok"
              : must_leak        ? "FAIL: not seen"
                                 : "FAIL: leaks");
  static_cast<void>(std::fflush(stdout));
  return leaks == must_leak;
}

bool run(const Row& row, std::size_t samples) {
  Subject subject(row);
  // SSLv3's padding is a block at most, and its bytes mean nothing: too long is what is wrong.
  const std::size_t longest = subject.is_ssl3() ? subject.block_size() - 1 : 255;
  const Padder broken =
      subject.is_ssl3() ? padding_of(subject.block_size() + 40) : broken_padding_of(longest / 2);
  const Opener open = subject.constant_time();
  const auto compare = [&](const Padder& first, const Padder& second, const Opener& opener) {
    return judge(measure(subject, opener, first, second, samples));
  };
  bool is_kept = true;
  is_kept &= report(row.name, "good against broken padding",
                    compare(padding_of(longest / 2), broken, open), false);
  is_kept &= report(row.name, "short against long padding",
                    compare(padding_of(0), padding_of(longest), open), false);
  is_kept &=
      report(row.name, "short against broken padding", compare(padding_of(0), broken, open), false);
  if (row.version != ProtocolVersion::kTls12 && row.version != ProtocolVersion::kTls10)
    return is_kept;
  is_kept &= report("control: checks in order", "good against broken padding",
                    compare(padding_of(longest / 2), broken, subject.leaky()), true);
  return is_kept;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  std::size_t samples = kSamples;
  if (arguments.size() == 2 && arguments[0] == "--samples") {
    samples = std::strtoul(arguments[1].c_str(), nullptr, 10);
  } else if (!arguments.empty()) {
    std::fputs(kUsage, arguments[0] == "--help" ? stdout : stderr);
    return arguments[0] == "--help" ? 0 : 2;
  }
  if (samples < 1000) stop("--samples is at least 1000");
  bool is_kept = true;
  for (const Row& row : kRows) is_kept &= run(row, samples);
  return is_kept ? 0 : 1;
}
