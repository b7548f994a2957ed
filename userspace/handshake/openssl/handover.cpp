// Connection states at the end of a handshake, and the proof that they continue it.
#include "userspace/handshake/openssl/handover.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ktls/base/endian.h"
#include "userspace/handshake/message_type.h"
#include "userspace/record/record_header.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

tl::unexpected<Error> violation(std::string_view direction, std::string_view detail) {
  return fail(
      Error::of(ErrorCode::kSequenceUnknown, std::string(direction) + ": " + std::string(detail)));
}

Result<void> prove(ProtocolVersion version, const CipherSuite& suite, std::string_view direction,
                   const TrafficKeys& keys, std::uint64_t sequence,
                   std::span<const std::uint8_t> last_record) {
  KTLS_TRY(ConnectionState trial,
           ConnectionState::create(version, suite, duplicate(keys), {.sequence = sequence - 1}));
  std::vector<std::uint8_t> record(last_record.begin(), last_record.end());
  const auto opened = trial.open(decode_record_header(std::span(record).first<kRecordHeaderSize>()),
                                 std::span(record).subspan(kRecordHeaderSize));
  if (!opened) {
    return violation(direction,
                     "the last record of the handshake does not open with the keys "
                     "and the sequence number to be handed over");
  }
  if (opened->type != ContentType::kHandshake) {
    return violation(direction, "the last record of the handshake is of another type");
  }
  return {};
}

// RFC 5288 section 3, RFC 6655 section 3: the explicit part of the nonce starts the fragment. It
// need not be the sequence number, and libssl's for GCM is not: it counts up from a random value.
std::uint64_t next_explicit_nonce(std::span<const std::uint8_t> last_record) {
  return ktls::load_big_endian<std::uint64_t>(last_record.subspan(kRecordHeaderSize).data()) + 1;
}

Result<ConnectionState> state_of(ProtocolVersion version, const CipherSuite& suite,
                                 std::string_view direction, const RecordCounter& counter,
                                 const TrafficKeys& keys) {
  const auto sequence = counter.sequence(version);
  if (!sequence) return violation(direction, sequence.error().detail);
  std::uint64_t explicit_nonce = 0;
  if (*sequence != 0) {
    const auto last_record = counter.last_record();
    if (auto proved = prove(version, suite, direction, keys, *sequence, last_record); !proved) {
      return fail(proved.error());
    }
    // The record has opened, so it is long enough to hold what its suite puts first.
    const bool explicit_part = version == ProtocolVersion::kTls12 &&
                               suite.bulk_cipher->explicit_nonce_size == sizeof explicit_nonce;
    if (explicit_part) explicit_nonce = next_explicit_nonce(last_record);
  }
  return ConnectionState::create(version, suite, duplicate(keys),
                                 {.sequence = *sequence, .explicit_nonce = explicit_nonce});
}

}  // namespace

TrafficKeys duplicate(const TrafficKeys& keys) {
  return {keys.key.duplicate(), keys.iv.duplicate(), keys.mac_key.duplicate()};
}

Result<HandedOverStates> hand_over_states(ProtocolVersion version, const CipherSuite& suite,
                                          const RecordCounter& read_counter,
                                          const RecordCounter& write_counter,
                                          const ConnectionKeys& keys) {
  KTLS_TRY(ConnectionState read, state_of(version, suite, "reading", read_counter, keys.read));
  KTLS_TRY(ConnectionState write, state_of(version, suite, "writing", write_counter, keys.write));
  return HandedOverStates{std::move(read), std::move(write)};
}

}  // namespace tls
