// Comparison of what libssl announced with what the wire carried.
#include "userspace/handshake/openssl/record_counter.h"

#include <algorithm>
#include <string_view>

#include "ktls/base/endian.h"
#include "userspace/handshake/message_type.h"
#include "userspace/suite/content_type.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr auto kChangeCipherSpec = static_cast<std::uint8_t>(ContentType::kChangeCipherSpec);
constexpr auto kApplicationData = static_cast<std::uint8_t>(ContentType::kApplicationData);

tl::unexpected<Error> disagree(std::string_view detail) {
  return fail(Error::of(ErrorCode::kProtocolViolation, detail));
}

}  // namespace

void RecordCounter::announce_record(std::span<const std::uint8_t, kRecordHeaderSize> header) {
  std::ranges::copy(header, announced_.emplace_back().begin());
}

void RecordCounter::announce_handshake_message(std::uint8_t message_type) {
  if (message_type == static_cast<std::uint8_t>(MessageType::kFinished)) {
    announced_at_finished_ = announced_.size();
  }
}

void RecordCounter::observe(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    std::size_t whole_size = kRecordHeaderSize;
    if (partial_.size() >= kRecordHeaderSize) {
      whole_size += ktls::load_big_endian<std::uint16_t>(&partial_[3]);
    }
    const std::size_t taken = std::min(bytes.size(), whole_size - partial_.size());
    const auto part = bytes.first(taken);
    partial_.insert(partial_.end(), part.begin(), part.end());
    bytes = bytes.subspan(taken);
    if (partial_.size() < kRecordHeaderSize) return;
    const std::size_t body_size = ktls::load_big_endian<std::uint16_t>(&partial_[3]);
    if (partial_.size() < kRecordHeaderSize + body_size) continue;
    std::copy_n(partial_.begin(), kRecordHeaderSize, observed_.emplace_back().begin());
    last_record_.swap(partial_);
    partial_.clear();
  }
}

Result<std::uint64_t> RecordCounter::sequence(ProtocolVersion version) const {
  if (!partial_.empty()) return disagree("the handshake ended inside a record");
  if (announced_ != observed_) {
    return disagree("libssl announced other records than the wire carried");
  }
  return version == ProtocolVersion::kTls13 ? sequence_13() : sequence_12();
}

Result<std::uint64_t> RecordCounter::sequence_12() const {
  const auto is_change = [](const Header& header) { return header[0] == kChangeCipherSpec; };
  const auto change = std::ranges::find_if(observed_, is_change);
  if (change == observed_.end()) return disagree("no ChangeCipherSpec was seen");
  if (std::any_of(change + 1, observed_.end(), is_change)) {
    return disagree("more than one ChangeCipherSpec was seen");
  }
  const auto count = static_cast<std::size_t>(observed_.end() - (change + 1));
  // Finished is the first protected message, so it ends within the new epoch.
  const auto first = static_cast<std::size_t>(change + 1 - observed_.begin());
  if (!announced_at_finished_ || *announced_at_finished_ <= first) {
    return disagree("no Finished was seen after ChangeCipherSpec");
  }
  return count;
}

Result<std::uint64_t> RecordCounter::sequence_13() const {
  if (!announced_at_finished_ || *announced_at_finished_ == 0) {
    return disagree("no Finished was seen");
  }
  // Every record from the one with Finished on is protected, and says application_data.
  const auto protected_records = std::span(observed_).subspan(*announced_at_finished_ - 1);
  if (!std::ranges::all_of(protected_records,
                           [](const Header& header) { return header[0] == kApplicationData; })) {
    return disagree("an unprotected record was seen after Finished");
  }
  return observed_.size() - *announced_at_finished_;
}

}  // namespace tls
