// Ticket keys from files: two sizes, and two orders of the parts.
#include "userspace/handshake/openssl/ticket_key.h"

#include <algorithm>
#include <utility>

#include <openssl/bio.h>
#include <sys/stat.h>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr std::size_t kShortFile = TicketKey::kNameSize + 2 * TicketKey::kSizeShort;
constexpr std::size_t kLongFile = TicketKey::kNameSize + 2 * TicketKey::kSizeMax;

bool take(BIO* from, std::span<std::uint8_t> part) {
  const auto size = static_cast<int>(part.size());
  return BIO_read(from, part.data(), size) == size;
}

// Whoever has a ticket key reads what was recorded of the sessions under it, and resumes them.
bool is_open_to_others(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         (status.st_mode & (S_IROTH | S_IWOTH)) != 0;
}

}  // namespace

Result<TicketKey> read_ticket_key(const std::string& path) {
  KTLS_TRY(const BioPtr content, read_file(path));
  const std::size_t size = BIO_ctrl_pending(content.get());
  if (size != kShortFile && size != kLongFile) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          path + ": a session ticket key has 48 or 80 random bytes, not " +
                              std::to_string(size) + " (openssl rand -out FILE 80)"));
  }
  const std::size_t key_size = (size - TicketKey::kNameSize) / 2;
  TicketKey key{.name = {},
                .cipher = decltype(TicketKey::cipher)::with_size(key_size),
                .mac = decltype(TicketKey::mac)::with_size(key_size)};
  // The short form is the older one, and has them the other way round.
  const bool is_cipher_first = size == kShortFile;
  const auto first = is_cipher_first ? key.cipher.mutable_bytes() : key.mac.mutable_bytes();
  const auto second = is_cipher_first ? key.mac.mutable_bytes() : key.cipher.mutable_bytes();
  if (!take(content.get(), key.name) || !take(content.get(), first) ||
      !take(content.get(), second)) {
    return fail(openssl_error(ErrorCode::kCrypto, path));
  }
  return key;
}

Result<TicketKeyFiles> read_ticket_keys(std::span<const std::string> paths) {
  TicketKeyFiles files;
  for (const std::string& path : paths) {
    KTLS_TRY(TicketKey key, read_ticket_key(path));
    if (is_open_to_others(path)) {
      files.warnings.push_back(path + ": a session ticket key that others may read (chmod 600)");
    }
    const auto same = std::ranges::find(files.keys, key.name, &TicketKey::name);
    if (same != files.keys.end()) {
      files.warnings.push_back(path + ": its key has the name of the one in " +
                               paths[static_cast<std::size_t>(same - files.keys.begin())] +
                               ", and opens no ticket");
    }
    files.keys.push_back(std::move(key));
  }
  return files;
}

}  // namespace tls
