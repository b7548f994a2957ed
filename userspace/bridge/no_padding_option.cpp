// What PaddingWatch has to know, and when it is asked.

#include "userspace/bridge/no_padding_option.h"

#include <cerrno>

#include "userspace/bridge/consumed_bytes.h"
#include "userspace/suite/content_type.h"

namespace bridge {
namespace {

constexpr auto kApplicationData = static_cast<std::uint8_t>(tls::ContentType::kApplicationData);
// Receives between two looks: 64 records where a buffer takes four of full size. A look is four
// short system calls.
constexpr std::uint32_t kReceivesPerLook = 16;
// A record may have gone out in part when the buffer was full, and its rest is not seen; so a look
// waits for one that was not, but not for ever.
constexpr std::uint32_t kReceivesMost = 2 * kReceivesPerLook;
constexpr std::uint64_t kContentMax = 16384;  // RFC 8446 section 5.1

}  // namespace

void NoPaddingOption::begin() {
  if (!is_offered_ || has_begun_) return;
  const auto wire = consumed_bytes(socket_.fd());
  if (!wire && wire.error().sys_errno == EAGAIN) return;
  const auto sequence = socket_.sequence(ktls::Direction::kReceive, cipher_);
  if (!wire || !sequence) return give_up();
  wire_before_ = *wire;
  records_before_ = 0 - *sequence;
  totals_ = {};
  has_begun_ = true;
}

void NoPaddingOption::received(const ktls::ReceivedBytes& bytes, std::size_t capacity) {
  if (!is_offered_ || !has_begun_ || bytes.end_of_stream) return;
  totals_.content += bytes.size;
  if (bytes.type != kApplicationData) ++totals_.control_records;
  ++receives_;
  const bool is_full = bytes.size == capacity;
  if (receives_ >= (is_full ? kReceivesMost : kReceivesPerLook) &&
      look(is_full ? kContentMax : 0)) {
    receives_ = 0;
  }
  if (bytes.type == kApplicationData) set(watch_.expects_no_padding());
}

bool NoPaddingOption::look(std::uint64_t undelivered_max) {
  const auto wire = consumed_bytes(socket_.fd());
  if (!wire && wire.error().sys_errno == EAGAIN) return false;
  const auto sequence = socket_.sequence(ktls::Direction::kReceive, cipher_);
  if (!wire || !sequence) {
    give_up();
    return false;
  }
  totals_.wire = *wire - wire_before_;
  totals_.records = records_before_ + *sequence;
  totals_.undelivered_max = undelivered_max;
  watch_.look(totals_);
  return true;
}

void NoPaddingOption::change_key(std::uint64_t sequence) {
  if (!is_offered_ || !has_begun_) return;
  const auto last = socket_.sequence(ktls::Direction::kReceive, cipher_);
  if (!last) return give_up();
  records_before_ += *last - sequence;
}

void NoPaddingOption::set(bool on) {
  if (!is_offered_ || on == is_on_) return;
  if (socket_.set_expect_no_padding(on)) {
    is_on_ = on;
  } else {
    is_offered_ = false;
  }
}

void NoPaddingOption::give_up() {
  set(false);
  is_offered_ = false;
}

}  // namespace bridge
