// TicketKey: what seals session tickets and opens them, and its form in a file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/secret.h"

namespace tls {

// By RFC 5077 section 4: AES in CBC mode, then HMAC-SHA-256. Both keys have the same size: 16 bytes
// (AES-128) or 32 (AES-256).
//   name   what a ticket begins with, in the clear
struct TicketKey {
  static constexpr std::size_t kNameSize = 16;
  static constexpr std::size_t kSizeShort = 16;
  static constexpr std::size_t kSizeMax = 32;

  std::array<std::uint8_t, kNameSize> name{};
  ktls::Secret<kSizeMax, struct TicketCipherKeyTag> cipher;
  ktls::Secret<kSizeMax, struct TicketMacKeyTag> mac;
};

// The key in a file of nginx's form (ssl_session_ticket_key): 48 bytes, of which are the name 16,
// the key of AES-128 16 and that of the HMAC 16; or 80 bytes, of which are the name 16, the key of
// the HMAC 32 and that of AES-256 32. Errors name the file: kSystem if it cannot be read,
// kInvalidArgument if it has another size.
[[nodiscard]] ktls::Result<TicketKey> read_ticket_key(const std::string& path);

//   warnings   for people: a file that others may read, a key that can never be found
struct TicketKeyFiles {
  std::vector<TicketKey> keys;  // in the order of the files
  std::vector<std::string> warnings;
};

// Of all `paths`, or the first error.
[[nodiscard]] ktls::Result<TicketKeyFiles> read_ticket_keys(std::span<const std::string> paths);

}  // namespace tls
