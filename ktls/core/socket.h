// TlsSocket: a connected TCP socket on which the kernel does TLS: attach, install, typed send and
// receive, live sequence number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

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

// Whether more application data follows at once, so that it may share a record with this.
enum class More : std::uint8_t { kNo, kYes };

// Borrows the descriptor: whoever owns it keeps it open for the life of this object. State that
// the kernel keeps (attached, installed) is on the socket, not here.
class TlsSocket {
 public:
  explicit TlsSocket(int fd, Syscalls& syscalls = system_calls()) : fd_(fd), syscalls_(&syscalls) {}

  [[nodiscard]] int fd() const { return fd_; }

  // Attaches the "tls" upper-layer protocol; needs an ESTABLISHED socket; irreversible. Already
  // attached is success. Error: kSystem with errno, see reason_of_attach(); EEXIST means that the
  // socket carries another protocol.
  [[nodiscard]] Result<void> attach();

  // Gives one direction to the kernel. At most once a direction unless the kernel can rekey.
  // Nothing is changed on failure, and the other direction is untouched.
  [[nodiscard]] Result<void> install(Direction direction, const CryptoInfo& info);

  // Sends plaintext as records of `type` (20..23 are TLS's own; any byte is passed on).
  // Application data sent with kYes may stay in an open record (MSG_MORE): the next send without
  // it, or any record of another type, sends that first; closing the socket loses it.
  // Never blocks (MSG_DONTWAIT) and never raises SIGPIPE. Returns the bytes taken, which may be
  // fewer than given for application data. Error: kSystem, EAGAIN when the send buffer is full;
  // kInvalidArgument for empty plaintext, of which the kernel makes no record, and for kYes with
  // another type than application data.
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

  // Whether receiving stands still until install(kReceive) brings the next key: a KeyUpdate was
  // received (Linux 6.14 and later). The socket is not readable then, and says nothing by itself.
  [[nodiscard]] bool awaits_key();

  // Number of the next record of that direction, by getsockopt. The structure that comes back
  // holds the key, and is wiped. Error: EBUSY when the direction is not installed.
  [[nodiscard]] Result<std::uint64_t> sequence(Direction direction, Cipher cipher);

 private:
  int fd_;
  Syscalls* syscalls_;
};

}  // namespace ktls
