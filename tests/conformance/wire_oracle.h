// WireOracle: opens every record that was captured of a connection with keys that it derives by
// itself, each at the number that it must have, and compares what the records hold.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ktls/base/result.h"
#include "tests/conformance/key_log.h"
#include "tests/conformance/pattern.h"
#include "userspace/record/connection_state.h"
#include "userspace/record/record_header.h"
#include "userspace/schedule/key_block.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace conformance {

// What the hellos said, read off the wire.
struct Hellos {
  std::array<std::uint8_t, tls::kRandomSize> client_random{};
  std::array<std::uint8_t, tls::kRandomSize> server_random{};
  tls::ProtocolVersion version = tls::ProtocolVersion::kTls12;
  const tls::CipherSuite* suite = nullptr;
};

// One direction of the capture. Its numbers count records since the connection began, from 0.
class WireStream {
 public:
  WireStream(tls::Role sender, Hellos& hellos, const KeyLog& keys, Pattern content)
      : sender_(sender), hellos_(&hellos), keys_(&keys), content_(content) {}

  // Opens what is whole; what needs a secret that is not told yet waits. Errors name direction and
  // record; after one, the stream answers it again.
  [[nodiscard]] ktls::Result<void> observe(std::span<const std::uint8_t> bytes);

  // Error when the capture is not over: bytes that are no whole record, a record without keys, no
  // close_notify.
  [[nodiscard]] ktls::Result<void> finish();

  [[nodiscard]] std::uint64_t records() const { return records_; }
  [[nodiscard]] std::uint64_t data_records() const { return data_records_; }
  // Handshake messages after the handshake: tickets, KeyUpdates.
  [[nodiscard]] std::uint64_t late_messages() const { return late_messages_; }
  [[nodiscard]] std::uint64_t content_size() const { return content_.position(); }
  // Number, under the present key, of the record that would come next.
  [[nodiscard]] std::uint64_t sequence() const { return state_ ? state_->sequence() : 0; }

 private:
  enum class Epoch : std::uint8_t { kClear, kHandshake, kApplication };

  // False: the record waits for a secret.
  [[nodiscard]] ktls::Result<bool> take_record(const tls::RecordHeader& header,
                                               std::span<std::uint8_t> body);
  [[nodiscard]] ktls::Result<bool> take_clear(const tls::RecordHeader& header,
                                              std::span<const std::uint8_t> body);
  [[nodiscard]] ktls::Result<void> take_opened(const tls::Opened& opened);
  [[nodiscard]] ktls::Result<void> take_messages(std::span<const std::uint8_t> content);
  [[nodiscard]] ktls::Result<void> take_message(std::uint8_t type);

  // False: no secret yet.
  [[nodiscard]] ktls::Result<bool> change_keys(Epoch epoch);
  [[nodiscard]] ktls::Result<void> update_key();
  [[nodiscard]] bool is_13() const { return hellos_->version == tls::ProtocolVersion::kTls13; }
  [[nodiscard]] ktls::Error named(ktls::Error error) const;

  tls::Role sender_;
  Hellos* hellos_;
  const KeyLog* keys_;
  PatternCheck content_;
  std::vector<std::uint8_t> unread_;
  std::optional<ktls::Error> error_;
  Epoch epoch_ = Epoch::kClear;
  // The record that changed keys was the last of its epoch; the next ones wait for a secret.
  std::optional<Epoch> due_;
  std::optional<tls::ConnectionState> state_;
  tls::TrafficSecret secret_;          // TLS 1.3
  std::vector<std::uint8_t> message_;  // of the handshake, not yet whole
  std::uint64_t records_ = 0;
  std::uint64_t data_records_ = 0;
  std::uint64_t late_messages_ = 0;
  bool finished_ = false;  // the handshake's Finished was seen
  bool closed_ = false;
};

class WireOracle {
 public:
  // What each side is to send as application data. Borrows `keys`.
  WireOracle(const KeyLog& keys, Pattern from_client, Pattern from_server)
      : client_(tls::Role::kClient, hellos_, keys, from_client),
        server_(tls::Role::kServer, hellos_, keys, from_server) {}
  WireOracle(const WireOracle&) = delete;
  WireOracle& operator=(const WireOracle&) = delete;

  [[nodiscard]] WireStream& from(tls::Role sender) {
    return sender == tls::Role::kClient ? client_ : server_;
  }
  [[nodiscard]] const Hellos& hellos() const { return hellos_; }

 private:
  Hellos hellos_;
  WireStream client_;
  WireStream server_;
};

}  // namespace conformance
