// FakeKeys: one direction's keys as FakeKernel holds them, with a toy AEAD that frames records
// exactly as TLS does and hides nothing.
//
// The toy has the two properties that tests need: a record opens only under the same key, nonce,
// sequence number and header, and its length on the wire is that of the real one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ktls {

inline constexpr std::size_t kFakeHeaderSize = 5;
inline constexpr std::size_t kFakePlaintextMax = 16384;

struct FakeRecord {
  std::uint8_t type = 0;
  std::vector<std::uint8_t> payload;
  std::size_t padding = 0;  // zeros behind the content type (RFC 8446 section 5.4)

  bool operator==(const FakeRecord&) const = default;
};

// A cipher that linux/tls.h numbers, typed from that header and not shared with the library,
// so that a slip in the library's layouts shows.
struct FakeCipher {
  std::uint16_t number;
  std::size_t iv_size;
  std::size_t key_size;
  std::size_t salt_size;
  bool tls13;  // ARIA is refused there

  [[nodiscard]] std::size_t structure_size() const;
};

// Null when linux/tls.h has no such number.
[[nodiscard]] const FakeCipher* find_fake_cipher(std::uint16_t number);

class FakeKeys {
 public:
  // `structure` is a whole tls12_crypto_info_* of `cipher`.
  FakeKeys(const FakeCipher& cipher, std::span<const std::uint8_t> structure);

  [[nodiscard]] std::uint16_t version() const;
  [[nodiscard]] std::uint16_t cipher() const { return cipher_->number; }
  [[nodiscard]] std::uint64_t sequence() const;
  // The structure with live iv and rec_seq, as getsockopt answers it.
  [[nodiscard]] std::span<const std::uint8_t> structure() const { return structure_; }

  // One record on the wire; moves the sequence number and the explicit nonce on.
  [[nodiscard]] std::vector<std::uint8_t> seal(std::uint8_t type,
                                               std::span<const std::uint8_t> payload,
                                               std::size_t padding = 0);
  // Opens one whole record; moves the sequence number on only when it opens. Of what a real cipher
  // sealed it knows one known answer by heart: that of probe() (ktls/core/trial_records.h).
  [[nodiscard]] std::optional<FakeRecord> open(std::span<const std::uint8_t> record);

  // Bytes that must be there before the kernel looks at any: the header and, where there is one,
  // the explicit nonce.
  [[nodiscard]] std::size_t prepend_size() const;
  // 0, or the errno that the kernel makes of this header: EMSGSIZE, EBADMSG or EINVAL
  // (net/tls/tls_sw.c, tls_rx_msg_size).
  [[nodiscard]] int check_header(std::span<const std::uint8_t> header) const;

 private:
  [[nodiscard]] bool is_tls13() const;
  [[nodiscard]] bool nonce_is_explicit() const;
  [[nodiscard]] std::size_t overhead() const;
  [[nodiscard]] std::span<const std::uint8_t> iv() const;
  [[nodiscard]] std::uint64_t digest(std::uint64_t seed, std::span<const std::uint8_t> nonce,
                                     std::span<const std::uint8_t> bytes) const;
  [[nodiscard]] std::optional<FakeRecord> open_toy(std::span<const std::uint8_t> record) const;
  // Adds or removes the keystream.
  void mask(std::span<const std::uint8_t> nonce, std::span<std::uint8_t> bytes) const;
  void advance();

  const FakeCipher* cipher_;
  std::vector<std::uint8_t> structure_;
};

}  // namespace ktls
