// Lines of identities and keys, decoded from where they stand: no copy of a key in hex is made.
#include "userspace/handshake/openssl/pre_shared_keys.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <openssl/evp.h>
#include <sys/stat.h>

#include "ktls/base/endian.h"
#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/hex.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

using DigestPtr = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;

tl::unexpected<Error> refuse(const std::string& where, std::string_view why) {
  return fail(Error::of(ErrorCode::kInvalidArgument, where + ": " + std::string(why)));
}

std::optional<std::uint8_t> value_of(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<std::uint8_t>(digit - '0');
  const char lower = static_cast<char>(digit | 0x20);
  if (lower >= 'a' && lower <= 'f') return static_cast<std::uint8_t>(lower - 'a' + 10);
  return std::nullopt;
}

// Writes what `hex` says to `bytes`, half as long.
bool decode(std::string_view hex, std::span<std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = value_of(hex[2 * i]);
    const auto low = value_of(hex[2 * i + 1]);
    if (!high || !low) return false;
    bytes[i] = static_cast<std::uint8_t>(*high << 4U | *low);
  }
  return true;
}

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\t')) {
    line.remove_suffix(1);
  }
  return line;
}

// With its length before it, so that no two lists of pieces are the same bytes.
bool add_piece(EVP_MD_CTX* digest, std::span<const std::uint8_t> piece) {
  std::array<std::uint8_t, sizeof(std::uint64_t)> size{};
  ktls::store_big_endian<std::uint64_t>(size.data(), piece.size());
  return EVP_DigestUpdate(digest, size.data(), size.size()) == 1 &&
         EVP_DigestUpdate(digest, piece.data(), piece.size()) == 1;
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Result<PreSharedKeys> PreSharedKeys::load(const std::string& file) {
  KTLS_TRY(const BioPtr content, read_file(file));
  char* text = nullptr;
  const long size = BIO_get_mem_data(content.get(), &text);
  std::string_view rest(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  PreSharedKeys keys;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.front() == '#') continue;
    if (auto added = keys.add(line, file + ":" + std::to_string(number)); !added) {
      return fail(added.error());
    }
  }
  if (keys.keys_.empty()) return refuse(file, "holds no line IDENTITY:HEXKEY");
  if (auto digested = keys.take_digest(); !digested) return fail(digested.error());
  keys.warn_of_mode(file);
  return keys;
}

Result<void> PreSharedKeys::add(std::string_view line, const std::string& where) {
  const std::size_t colon = line.rfind(':');
  if (colon == std::string_view::npos) return refuse(where, "is not IDENTITY:HEXKEY");
  const std::string_view identity = line.substr(0, colon);
  const std::string_view hex = line.substr(colon + 1);
  // libssl takes an identity of TLS 1.2 as a C string.
  if (identity.empty() || identity.size() > kIdentitySizeMax ||
      identity.find('\0') != std::string_view::npos) {
    return refuse(where, "an identity has 1 to 256 bytes, none of them zero");
  }
  if (hex.size() / 2 < kKeySizeLeast || hex.size() / 2 > kKeySizeMax) {
    return refuse(where, "a key has 16 to 512 bytes, 32 to 1024 hex digits");
  }
  auto key = Key::with_size(hex.size() / 2);
  if (hex.size() % 2 != 0 || !decode(hex, key.mutable_bytes())) {
    return refuse(where, "the key is not in hex, two digits a byte");
  }
  if (!keys_.emplace(identity, std::move(key)).second) {
    return refuse(where, "the identity is there already");
  }
  if (first_.empty()) first_ = identity;
  return {};
}

const PreSharedKeys::Key* PreSharedKeys::find(std::string_view identity) const {
  const auto found = keys_.find(identity);
  return found == keys_.end() ? nullptr : &found->second;
}

Result<void> PreSharedKeys::take_digest() {
  const DigestPtr digest(EVP_MD_CTX_new());
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  bool taken = digest && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
  for (const auto& [identity, key] : keys_) {
    taken = taken && add_piece(digest.get(), bytes_of(identity)) &&
            add_piece(digest.get(), key.bytes());
  }
  if (!taken || EVP_DigestFinal_ex(digest.get(), bytes.data(), &size) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "a digest of pre-shared keys"));
  }
  digest_ = hex_of(std::span(bytes).first(size), ':');
  return {};
}

void PreSharedKeys::warn_of_mode(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0) {
    warnings_.push_back(file + ": every user may read these keys: chmod o-r");
  }
}

}  // namespace tls
