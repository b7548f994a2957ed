// TlsSocket: a connected TCP socket on which the kernel does TLS: attach, install, options, typed
// send and receive, live sequence number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ktls/base/result.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/syscalls.h"

namespace ktls {

// What one receive() brought.
//   type           record type (ContentType); all bytes are of this one type
//   size           bytes written to the caller's buffer; 0 with a type is an empty record
//   end_of_record  the bytes end where a record ends (MSG_EOR)
//   end_of_stream  the peer's FIN; type and size are 0. Without a close_notify before it this is
//                  truncation, which the kernel does not tell apart (net/tls: FIN in mid-record
//                  too)
struct ReceivedBytes {
  std::uint8_t type = 0;
  std::size_t size = 0;
  bool end_of_record = false;
  bool end_of_stream = false;
};

// Whether a send leaves its last record open for what comes next (MSG_MORE). The kernel keeps the
// bytes; they go out when the record is full, or with the next send that is not kYes, or before a
// record of another type. close() loses them, and a rekey seals them under the next key: whoever
// leaves a record open ends it first.
enum class More : std::uint8_t { kNo, kYes };

// The values that set_payload_max() takes: include/net/tls.h, TLS_MIN_RECORD_SIZE_LIM, which is RFC
// 8449 section 4's least record_size_limit, and less by the content type byte in TLS 1.3.
inline constexpr std::uint16_t kPayloadMaxLeast12 = 64;
inline constexpr std::uint16_t kPayloadMaxLeast13 = 63;
inline constexpr std::uint16_t kPayloadMaxMost = 16384;

// Borrows the descriptor: whoever owns it keeps it open for the life of this object. State that
// the kernel keeps (attached, installed) is on the socket, not here.
class TlsSocket {
 public:
  explicit TlsSocket(int fd, Syscalls& syscalls = system_calls()) : fd_(fd), syscalls_(&syscalls) {}

  [[nodiscard]] int fd() const { return fd_; }
  // The same socket by another descriptor.
  void change_descriptor(int fd) { fd_ = fd; }

  // Attaches the "tls" upper-layer protocol; needs an ESTABLISHED socket; irreversible. Already
  // attached is success. Error: kSystem with errno, see reason_of_attach(); EEXIST means that the
  // socket carries another protocol.
  [[nodiscard]] Result<void> attach();

  // Gives one direction to the kernel. At most once a direction unless the kernel can rekey.
  // Nothing is changed on failure, and the other direction is untouched.
  [[nodiscard]] Result<void> install(Direction direction, const CryptoInfo& info);

  // The options. Error: kSystem; ENOPROTOOPT before attach(), and where the kernel is older than
  // the option (5.19, 6.0 and 6.19, in this order).

  // Lets sendfile hand pages to a network card as they are (TLS_TX_ZEROCOPY_RO). Whatever changes
  // the file before the peer has acknowledged changes what is sent, under a tag that does not fit
  // or, on retransmission, as a second text under one nonce: only for files that cannot change.
  // Taken at any time, also where no card encrypts; there it does nothing.
  [[nodiscard]] Result<void> set_zerocopy_transmit(bool on);

  // Decrypts straight into the receiver's buffer, as though TLS 1.3 records had no padding and were
  // application data; others are decrypted twice (TLS_RX_EXPECT_NO_PAD). EINVAL before
  // install(kReceive) and in TLS 1.2. Only where Capability::expect_no_padding says that it is
  // safe: elsewhere bytes are returned that the peer did not send. A record's padding may be
  // written behind the bytes that are returned.
  [[nodiscard]] Result<void> set_expect_no_padding(bool on);

  // The most plaintext of one record from now on (TLS_TX_MAX_PAYLOAD_LEN), of every type. In
  // TLS 1.3 the content type byte comes on top: a peer's record_size_limit (RFC 8449) less one.
  // EINVAL below kPayloadMaxLeast13 if a direction has TLS 1.3 keys, else below kPayloadMaxLeast12,
  // and above kPayloadMaxMost; EBUSY while a record is open. Taken before install(), too.
  [[nodiscard]] Result<void> set_payload_max(std::uint16_t size);

  // Sends plaintext as records of `type` (20..23 are TLS's own; any byte is passed on).
  // Never blocks (MSG_DONTWAIT) and never raises SIGPIPE. Returns the bytes taken, which may be
  // fewer than given for application data. Error: kSystem, EAGAIN when the send buffer is full;
  // kInvalidArgument for empty plaintext, of which the kernel makes no record, and for More::kYes
  // with another type than application data, of which it leaves none open.
  // Only after install(kTransmit): before it, the kernel sends the bytes as they are. Never after
  // a shutdown of the write side: the kernel goes on counting bytes as sent that it drops.
  [[nodiscard]] Result<std::size_t> send(std::uint8_t type, std::span<const std::uint8_t> plaintext,
                                         More more = More::kNo);

  // Receives plaintext of one record type, with a control buffer always, so that control records
  // do not fail with EIO. Never blocks. Error: kSystem, EAGAIN when no whole record is there;
  // EBADMSG, EMSGSIZE, EINVAL for hostile records, EKEYEXPIRED after a KeyUpdate (>= 6.14).
  // The kernel reports most of these once and then answers EAGAIN for ever: the first is final.
  // kInvalidArgument for an empty buffer; kProtocolViolation for bytes without a record type,
  // which are raw ones of a socket whose receive direction is not installed.
  [[nodiscard]] Result<ReceivedBytes> receive(std::span<std::uint8_t> plaintext);

  // Takes the socket's pending error (SO_ERROR) off it: 0 if there was none. After a record that
  // does not open the kernel refuses to send, too, with the same EBADMSG, until this is called:
  // only then can the alert bad_record_mac go out (net/tls/tls_sw.c, tls_err_abort). Not after a
  // send that answered EBADMSG of itself: there the sequence numbers are used up, the error is all
  // that keeps them from starting at 0 again.
  [[nodiscard]] Result<int> take_error();

  // Whether that direction has keys, whoever installed them: without, the kernel sends bytes as
  // they are. Error: kSystem.
  [[nodiscard]] Result<bool> has_keys(Direction direction);

  // Number of the next record of that direction, by getsockopt. The structure that comes back
  // holds the key, and is wiped. Error: EBUSY when the direction is not installed.
  [[nodiscard]] Result<std::uint64_t> sequence(Direction direction, Cipher cipher);

 private:
  [[nodiscard]] Result<void> set_option(int name, std::span<const std::byte> value,
                                        std::string_view call);

  int fd_;
  Syscalls* syscalls_;
};

}  // namespace ktls
