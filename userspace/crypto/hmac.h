// Hmac: one key of HMAC (RFC 2104) in libcrypto, used for many messages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>

#include "ktls/base/result.h"
#include "userspace/suite/cipher_suite.h"

struct evp_mac_ctx_st;

namespace tls {

// Move-only; the key in libcrypto is cleansed with it. libcrypto allocates for each message (3.0:
// it copies its digest's context). A moved-from Hmac may only be destroyed or assigned to.
class Hmac {
 public:
  using Parts = std::initializer_list<std::span<const std::uint8_t>>;
  // What TLS puts before a record's content: seq_num, type, version, length (RFC 5246 6.2.3.1).
  static constexpr std::size_t kTlsHeaderSize = 13;

  // Errors: kUnsupported where libcrypto does not offer the hash, kCrypto.
  [[nodiscard]] static ktls::Result<Hmac> create(HashAlgorithm algorithm,
                                                 std::span<const std::uint8_t> key);

  // Of all parts as one message, into `out`, which is size() bytes. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> compute(Parts parts, std::span<std::uint8_t> out);

  // Of `header` and the first `content_size` bytes of `record`, in a time that depends on the size
  // of `record` alone: content_size, and what it says within `header`, stay secret. `record` is
  // content, MAC and padding, longer than a MAC. Error: kCrypto.
  [[nodiscard]] ktls::Result<void> compute_secretly(
      std::span<const std::uint8_t, kTlsHeaderSize> header, std::span<const std::uint8_t> record,
      std::size_t content_size, std::span<std::uint8_t> out);

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct FreeContext {
    void operator()(evp_mac_ctx_st* context) const;
  };
  using Context = std::unique_ptr<evp_mac_ctx_st, FreeContext>;

  Hmac(Context context, std::size_t size) : context_(std::move(context)), size_(size) {}

  Context context_;
  std::size_t size_;
};

}  // namespace tls
