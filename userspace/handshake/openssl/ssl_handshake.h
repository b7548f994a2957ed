// SslHandshake: the Handshake behind the interface, which drives one SSL object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "userspace/handshake/openssl/handshake.h"
#include "userspace/handshake/openssl/record_counter.h"
#include "userspace/handshake/openssl/secrets.h"
#include "userspace/handshake/openssl/ssl_connection.h"

namespace tls {

class SslHandshake final : public Handshake, private SslObserver {
 public:
  explicit SslHandshake(std::unique_ptr<SslConnection> connection);
  ~SslHandshake() override;

  [[nodiscard]] ktls::Result<Progress> advance(std::span<const std::uint8_t> record) override;
  [[nodiscard]] std::vector<std::uint8_t> take_output() override;
  [[nodiscard]] ktls::Result<Finished> finish() override;

 private:
  enum class Stage : std::uint8_t { kCreated, kRunning, kDone, kFailed, kFinished };

  [[nodiscard]] ktls::Result<Progress> take(std::span<const std::uint8_t> record);
  [[nodiscard]] ktls::Result<Progress> object_to(std::span<const std::uint8_t> header);
  [[nodiscard]] ktls::Result<Progress> step();
  [[nodiscard]] ktls::Error failure();

  [[nodiscard]] ktls::Result<Finished> hand_over();
  [[nodiscard]] ktls::Result<Negotiated> negotiate(ProtocolVersion version,
                                                   const CipherSuite& suite, ConnectionKeys keys);
  [[nodiscard]] ktls::Result<std::string> chosen_protocol() const;

  void keylog_line(std::string_view line) override;
  void message(bool written, int type, std::span<const std::uint8_t> bytes) override;

  [[nodiscard]] SSL* ssl() const { return connection_->ssl(); }
  [[nodiscard]] Role role() const { return connection_->context().role(); }

  std::unique_ptr<SslConnection> connection_;
  Stage stage_ = Stage::kCreated;
  std::size_t bytes_taken_ = 0;
  RecordCounter read_counter_;
  RecordCounter write_counter_;
  ApplicationSecrets secrets_;
  std::vector<std::uint8_t> output_;
  std::optional<std::uint8_t> alert_received_;
  std::optional<std::uint8_t> alert_sent_;
};

}  // namespace tls
