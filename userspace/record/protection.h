// Protection: how one direction's records are sealed and opened, chosen once when keys are
// installed. One class a file: null, stream, cbc, etm, aead_12, aead_13, integrity_13, ssl2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ktls/base/result.h"
#include "userspace/record/record_header.h"
#include "userspace/suite/content_type.h"

namespace tls {

// What goes into one record.
//   padding  zero bytes after the content (TLS 1.3 alone; elsewhere the protection pads itself)
struct Outgoing {
  ContentType type;
  std::span<const std::uint8_t> content;
  std::size_t padding = 0;
};

// What came out of one record. The content lies inside the body that was opened.
//   type        kInvalid where there was none: TLS 1.3's padding without a content type
//   inner_size  content, type and padding in TLS 1.3; elsewhere the content's size
struct Opened {
  ContentType type;
  std::span<std::uint8_t> content;
  std::size_t inner_size;
};

class Protection {
 public:
  virtual ~Protection() = default;

  // Size of the record (header included) for that much content and padding.
  [[nodiscard]] virtual std::size_t sealed_size(std::size_t content_size,
                                                std::size_t padding) const = 0;

  // Writes a whole record (header, protected fragment), whose number is `sequence`. `wire` has
  // sealed_size() bytes, at most kBodySizeMax of them after the header, and does not overlap the
  // content. Errors: kInvalidArgument, from SSLv2, whose header says less; kCrypto.
  [[nodiscard]] virtual ktls::Result<void> seal(std::uint64_t sequence, const Outgoing& outgoing,
                                                std::span<std::uint8_t> wire) = 0;

  // Opens the body of a record in place. Errors: kBadRecordMac, kDecryptionFailed, and in TLS 1.3
  // kUnexpectedMessage and kIllegalParameter for the header. After an error the body's bytes are
  // undefined, and hold no plaintext that was not authenticated; nothing else has changed, except
  // that a stream cipher has gone on.
  [[nodiscard]] virtual ktls::Result<Opened> open(std::uint64_t sequence,
                                                  const RecordHeader& header,
                                                  std::span<std::uint8_t> body) = 0;

  // The explicit nonce that the record numbered `sequence` would be sealed with; 0 where records
  // carry none.
  [[nodiscard]] virtual std::uint64_t explicit_nonce(std::uint64_t /*sequence*/) const { return 0; }

  // Content bytes of the largest record that the version allows.
  [[nodiscard]] virtual std::size_t content_size_max() const { return kPlaintextSizeMax; }

  // SSLv2 counts all its records, also those in the clear.
  [[nodiscard]] virtual bool is_ssl2() const { return false; }

  // Another fixed IV block for the records to come (see CbcProtection); nothing elsewhere.
  virtual void set_fixed_iv_block(std::span<const std::uint8_t> /*block*/) {}
};

}  // namespace tls
