// RecordCounter: how many records of its final key epoch one direction has used when a handshake
// ends, from two witnesses: what libssl's message callback announced, and the bytes on the wire.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/version.h"

namespace tls {

// A wrong sequence number here would repeat a nonce or end the connection at its first record, and
// neither witness is enough alone: on the wire all protected records of TLS 1.3 look alike, so only
// libssl knows which one held Finished; and libssl has no duty to announce every record it writes.
class RecordCounter {
 public:
  // --- what libssl announces -----------------------------------------------------------------
  void announce_record(std::span<const std::uint8_t, kRecordHeaderSize> header);
  // A whole handshake message of `message_type` was read or written; its records were announced.
  void announce_handshake_message(std::uint8_t message_type);

  // --- what the wire carried ------------------------------------------------------------------
  // The next bytes of this direction, cut anywhere.
  void observe(std::span<const std::uint8_t> bytes);

  // --- the answer -----------------------------------------------------------------------------
  // Number of the next record of the final epoch: in TLS 1.3 the records since Finished (RFC 8446
  // section 5.3: "set to zero at the beginning of a connection and whenever the key is changed"),
  // in TLS 1.2 those since ChangeCipherSpec (RFC 5246 section 6.1). Error: kProtocolViolation when
  // the witnesses disagree, or the epoch has not begun.
  [[nodiscard]] ktls::Result<std::uint64_t> sequence(ProtocolVersion version) const;

  // The last whole record on the wire, header included; empty if there was none.
  [[nodiscard]] std::span<const std::uint8_t> last_record() const { return last_record_; }

  [[nodiscard]] std::size_t records_observed() const { return observed_.size(); }

 private:
  using Header = std::array<std::uint8_t, kRecordHeaderSize>;

  [[nodiscard]] ktls::Result<std::uint64_t> sequence_12() const;
  [[nodiscard]] ktls::Result<std::uint64_t> sequence_13() const;

  std::vector<Header> announced_;
  std::vector<Header> observed_;
  std::optional<std::size_t> announced_at_finished_;  // announced_.size() when Finished was whole
  std::vector<std::uint8_t> partial_;                 // of a record not yet whole
  std::vector<std::uint8_t> last_record_;
};

}  // namespace tls
