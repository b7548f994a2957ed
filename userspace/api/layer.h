// Layer: what the C interface shows of the record layer. It keeps what a caller sets one by one
// (version, role, encrypt-then-MAC), computes pending states from it, and changes to them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/crypto/cbc_cipher.h"
#include "userspace/record/record_layer.h"
#include "userspace/schedule/key_block.h"
#include "userspace/schedule/traffic_keys.h"

namespace api {

using Bytes = std::span<const std::uint8_t>;
using Random = std::function<bool(std::span<std::uint8_t>)>;

// A state that was computed and is not in use yet.
struct PendingState {
  const tls::CipherSuite* suite = nullptr;  // null: none was computed, and nothing is protected
  tls::ProtocolVersion version = tls::ProtocolVersion::kTls12;
  tls::TrafficKeys keys;
  bool encrypt_then_mac = false;
  std::optional<std::uint64_t> sequence;  // where it is not to start as its version says
  std::optional<std::uint64_t> explicit_nonce;
};

class Layer {
 public:
  Layer();
  ~Layer();
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  // --- properties ----------------------------------------------------------------------------
  void set_version(std::uint16_t version);
  [[nodiscard]] std::uint16_t version() const { return version_; }
  void set_tls13_records(bool on);
  [[nodiscard]] bool tls13_records() const { return tls13_records_; }
  void set_encrypt_then_mac(bool on);
  [[nodiscard]] bool encrypt_then_mac() const { return writes_encrypt_then_mac_; }
  void set_receive_limit(std::size_t limit);
  void set_send_limit(std::size_t limit);
  void set_early_data(bool ok) { records_.set_early_data(ok); }
  void set_early_data_max(std::size_t size);
  void set_handshake_finished(bool finished);
  void set_unsafe_change_to_clear(bool on) { records_.allow_changes_to_clear_unsafely(on); }
  [[nodiscard]] bool unsafe_change_to_clear() const {
    return records_.rules().changes_to_clear_unsafely;
  }
  void set_random(Random random) { random_ = std::move(random); }

  bool is_client = true;
  bool unsafe_state_access = false;

  [[nodiscard]] bool is_tls13() const { return tls13_records_ && version_ > tls::kRecordVersion; }
  [[nodiscard]] std::uint16_t wire_version() const {
    return is_tls13() ? tls::kRecordVersion : version_;
  }
  [[nodiscard]] std::size_t receive_limit() const { return receive_limit_; }
  [[nodiscard]] std::size_t send_limit() const { return send_limit_; }
  [[nodiscard]] std::size_t early_data_max() const { return early_data_max_; }
  [[nodiscard]] bool handshake_finished() const { return handshake_finished_; }
  [[nodiscard]] tls::RecordLayer& records() { return records_; }
  [[nodiscard]] const tls::RecordLayer& records() const { return records_; }

  // --- keys ----------------------------------------------------------------------------------
  // kInvalidArgument: version, suite or sizes; kUnsupported: libcrypto has it not.
  [[nodiscard]] ktls::Result<void> derive_pending_states(std::uint16_t suite, Bytes master_secret,
                                                         Bytes client_random, Bytes server_random);
  // The KEY-ARG that was used.
  [[nodiscard]] ktls::Result<std::vector<std::uint8_t>> derive_ssl2_pending_states(
      const tls::CipherSuite& suite, Bytes master_key, Bytes challenge, Bytes connection_id,
      std::optional<Bytes> key_arg);
  [[nodiscard]] ktls::Result<void> derive_tls13_pending_states(std::uint16_t suite,
                                                               Bytes client_secret,
                                                               Bytes server_secret);
  // The secret after the update, of the side whose KeyUpdate it is.
  [[nodiscard]] ktls::Result<tls::TrafficSecret> key_update(std::uint16_t suite, bool received,
                                                            Bytes secret);
  [[nodiscard]] ktls::Result<void> change_write_state();
  [[nodiscard]] ktls::Result<void> change_read_state();
  // Errors as of RecordLayer::release_read and release_write; kInvalidArgument for a state that has
  // gone on from its keys in a way that they and a number do not tell.
  [[nodiscard]] ktls::Result<tls::ConnectionState> release(bool write);
  [[nodiscard]] ktls::Result<void> shutdown();

  [[nodiscard]] ktls::Result<void> set_fixed_iv_block(Bytes block);
  [[nodiscard]] Bytes fixed_iv_block() const {
    return std::span(fixed_iv_block_).first(fixed_iv_block_size_);
  }

  [[nodiscard]] PendingState& pending(bool write) { return write ? pending_write_ : pending_read_; }
  [[nodiscard]] const PendingState& pending(bool write) const {
    return write ? pending_write_ : pending_read_;
  }

  // --- reading -------------------------------------------------------------------------------
  // Appends to what is unread. What next() gave before is gone.
  void feed(Bytes bytes);
  void feed_end() { has_ended_ = true; }
  // kEndOfStream once the transport has ended and no whole record is left.
  [[nodiscard]] ktls::Result<tls::NextRecord> next();
  [[nodiscard]] std::size_t want() const { return records_.bytes_wanted(); }
  [[nodiscard]] bool has_unread() const { return !records_.unread().empty(); }

  void fail(std::string text) { last_error_ = std::move(text); }
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

 private:
  [[nodiscard]] ktls::Result<void> fill_random(std::span<std::uint8_t> out) const;
  void set_pending(const tls::CipherSuite& suite, tls::ProtocolVersion version, tls::KeyBlock keys);
  [[nodiscard]] ktls::Result<std::optional<tls::ConnectionState>> make_state(PendingState& pending);
  void show_version();

  // `records_` reads in here, so that neither is moved.
  std::vector<std::uint8_t> buffer_;
  tls::RecordLayer records_;
  std::uint16_t version_ = 0;
  bool tls13_records_ = false;
  bool writes_encrypt_then_mac_ = false;
  bool has_ended_ = false;
  bool handshake_finished_ = false;
  std::size_t receive_limit_ = tls::kPlaintextSizeMax;
  std::size_t send_limit_ = tls::kPlaintextSizeMax;
  std::size_t early_data_max_ = 0;
  PendingState pending_write_;
  PendingState pending_read_;
  std::array<std::uint8_t, tls::kBlockSizeMax> fixed_iv_block_{};
  std::size_t fixed_iv_block_size_ = 0;
  Random random_;
  std::string last_error_;
};

}  // namespace api
