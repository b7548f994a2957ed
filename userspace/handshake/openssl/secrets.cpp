// Secrets out of libssl: the key log for TLS 1.3, the session for TLS 1.2.
#include "userspace/handshake/openssl/secrets.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "userspace/schedule/key_block.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// The value of a hex digit, by arithmetic: neither a branch nor a table index depends on a key.
constexpr std::uint8_t value_of(char digit) {
  const unsigned c = static_cast<unsigned char>(digit);
  const unsigned is_letter = c >> 6;  // 0 for '0'..'9', 1 for 'A'..'F' and 'a'..'f'
  return static_cast<std::uint8_t>((c & 0xf) + 9 * is_letter);
}
static_assert(value_of('0') == 0 && value_of('9') == 9 && value_of('a') == 10 &&
              value_of('f') == 15 && value_of('A') == 10 && value_of('F') == 15);

// libssl writes the lines, so the digits need no check; a size that is no hash's gives an empty
// secret, which derive_connection_keys() refuses.
TrafficSecret decode_hex(std::string_view hex) {
  if (hex.size() % 2 != 0 || hex.size() / 2 > TrafficSecret::kCapacity) return {};
  auto secret = TrafficSecret::with_size(hex.size() / 2);
  auto bytes = secret.mutable_bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(value_of(hex[2 * i]) << 4 | value_of(hex[2 * i + 1]));
  }
  return secret;
}

Result<ConnectionKeys> keys_13(const CipherSuite& suite, Role role, ApplicationSecrets secrets) {
  const bool client = role == Role::kClient;
  ConnectionKeys keys;
  keys.read_secret = std::move(client ? secrets.server : secrets.client);
  keys.write_secret = std::move(client ? secrets.client : secrets.server);
  if (keys.read_secret.empty() || keys.write_secret.empty()) {
    return fail(Error::of(ErrorCode::kProtocolViolation,
                          "libssl's key log did not hold both application traffic secrets"));
  }
  KTLS_TRY(keys.read, derive_traffic_keys(suite, keys.read_secret));
  KTLS_TRY(keys.write, derive_traffic_keys(suite, keys.write_secret));
  return keys;
}

Result<ConnectionKeys> keys_12(SSL* ssl, const CipherSuite& suite, Role role) {
  auto master_secret = MasterSecret::with_size(MasterSecret::kCapacity);
  const auto master_bytes = master_secret.mutable_bytes();
  std::array<std::uint8_t, kRandomSize> client_random{};
  std::array<std::uint8_t, kRandomSize> server_random{};
  if (SSL_SESSION_get_master_key(SSL_get_session(ssl), master_bytes.data(), master_bytes.size()) !=
          master_bytes.size() ||
      SSL_get_client_random(ssl, client_random.data(), kRandomSize) != kRandomSize ||
      SSL_get_server_random(ssl, server_random.data(), kRandomSize) != kRandomSize) {
    return fail(Error::of(ErrorCode::kProtocolViolation,
                          "libssl does not show the master secret and both randoms"));
  }
  KTLS_TRY(KeyBlock block, derive_key_block(ProtocolVersion::kTls12, suite, master_secret,
                                            client_random, server_random));
  const bool client = role == Role::kClient;
  ConnectionKeys keys;
  keys.read = std::move(client ? block.server_write : block.client_write);
  keys.write = std::move(client ? block.client_write : block.server_write);
  return keys;
}

}  // namespace

void take_keylog_line(std::string_view line, ApplicationSecrets& secrets) {
  // "<label> <client random> <secret>", in hex (draft-ietf-tls-keylogfile section 2).
  const std::size_t label_end = line.find(' ');
  const std::size_t secret_begin = line.rfind(' ');
  if (label_end == std::string_view::npos || label_end == secret_begin) return;
  const std::string_view label = line.substr(0, label_end);
  const std::string_view hex = line.substr(secret_begin + 1);
  if (label == "CLIENT_TRAFFIC_SECRET_0") secrets.client = decode_hex(hex);
  if (label == "SERVER_TRAFFIC_SECRET_0") secrets.server = decode_hex(hex);
}

Result<ConnectionKeys> derive_connection_keys(SSL* ssl, ProtocolVersion version,
                                              const CipherSuite& suite, Role role,
                                              ApplicationSecrets secrets) {
  return version == ProtocolVersion::kTls13 ? keys_13(suite, role, std::move(secrets))
                                            : keys_12(ssl, suite, role);
}

}  // namespace tls
