// PaddingWatch: whether it pays to have the kernel expect that records have no padding
// (TLS_RX_EXPECT_NO_PAD), judged by the records that a peer has sent. Pure.
//
// Where it is expected, application data without padding is decrypted once, straight into the
// receiver's buffer, and everything else twice: a peer could double our cost. The kernel does not
// tell how often that was, so padding is what is left of the bytes when all that is known about the
// records has been taken off.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bridge {

// What came since the watch began.
//   wire             bytes, headers and tags included
//   records          that these bytes were
//   control_records  of another type than application data, among them
//   content          bytes of content that were delivered
//   undelivered_max  bytes of content that the kernel may have decrypted and still hold
struct ReceivedTotals {
  std::uint64_t wire = 0;
  std::uint64_t records = 0;
  std::uint64_t control_records = 0;
  std::uint64_t content = 0;
  std::uint64_t undelivered_max = 0;
};

class PaddingWatch {
 public:
  // One of so many records may cost twice: at most an eighth of the decrypting is in vain then.
  static constexpr std::uint64_t kRecordsPerCostly = 8;
  // Looks without fault in a row before padding is expected no more, after the first time; twice as
  // many after each further one, up to the last number: a peer that goes to and fro gains nothing.
  static constexpr std::uint64_t kCleanLooksFirst = 4;
  static constexpr std::uint64_t kCleanLooksMost = 1U << 16U;

  [[nodiscard]] bool expects_no_padding() const { return expects_none_; }

  // Judges what came since the last look.
  void look(const ReceivedTotals& totals) {
    const std::uint64_t records = totals.records - last_.records;
    if (records == 0) return;
    const std::uint64_t control_records = totals.control_records - last_.control_records;
    const std::uint64_t data_records = records - std::min(control_records, records);
    // How many records have a share in it nobody knows: each byte may be one's.
    const std::uint64_t padded_records = std::min(new_padding(totals), data_records);
    last_ = totals;
    judge((control_records + padded_records) * kRecordsPerCostly <= records);
  }

 private:
  // RFC 8446 section 5.2: a header of 5 bytes, the content type, and a tag, which has 16 bytes with
  // every cipher of TLS 1.3 that the kernel knows.
  static constexpr std::uint64_t kRecordOverhead = 5 + 1 + 16;

  // Bytes that came since the last look, at least.
  std::uint64_t new_padding(const ReceivedTotals& totals) {
    const std::uint64_t known =
        totals.content + totals.undelivered_max + totals.records * kRecordOverhead;
    const std::uint64_t padding = totals.wire - std::min(known, totals.wire);
    const std::uint64_t fresh = padding - std::min(padding_, padding);
    // What is known only from below must not be taken for less than was seen.
    padding_ = totals.undelivered_max == 0 ? padding : std::max(padding, padding_);
    return fresh;
  }

  void judge(bool is_clean) {
    if (expects_none_) {
      expects_none_ = is_clean;
      clean_looks_ = 0;
      return;
    }
    clean_looks_ = is_clean ? clean_looks_ + 1 : 0;
    if (clean_looks_ < clean_looks_wanted_) return;
    expects_none_ = true;
    clean_looks_wanted_ = std::min(2 * clean_looks_wanted_, kCleanLooksMost);
  }

  ReceivedTotals last_;
  std::uint64_t padding_ = 0;
  std::uint64_t clean_looks_ = 0;
  std::uint64_t clean_looks_wanted_ = kCleanLooksFirst;
  bool expects_none_ = true;
};

}  // namespace bridge
