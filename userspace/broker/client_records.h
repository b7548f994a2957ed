// What a client does with records of a connection itself: looks at control records, and sends
// alerts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/types.h>

namespace broker {

// ContentType: RFC 8446 section 5.1.
inline constexpr int kNoRecord = -1;
inline constexpr int kAlertRecord = 21;
inline constexpr int kHandshakeRecord = 22;
inline constexpr int kDataRecord = 23;

// AlertDescription: RFC 8446 section 6.
inline constexpr std::uint8_t kCloseNotify = 0;
inline constexpr std::uint8_t kUnexpectedMessage = 10;
inline constexpr std::uint8_t kBadRecordMac = 20;
inline constexpr std::uint8_t kRecordOverflow = 22;
inline constexpr std::uint8_t kProtocolVersionAlert = 70;
inline constexpr std::uint8_t kInternalError = 80;
inline constexpr std::uint8_t kUserCanceled = 90;
inline constexpr std::uint8_t kNoRenegotiation = 100;

// kKernelTls: the kernel has keys of ours to send with. kRelayed: a stream on this machine, which
// the broker relays. kOther: whatever is written there goes out in the clear, or nowhere.
enum class StreamKind : std::uint8_t { kKernelTls, kRelayed, kOther };
[[nodiscard]] StreamKind kind_of(int fd);

// Whether the write side of a TCP socket is open. After its end the kernel counts as sent what it
// drops, or answers EPIPE.
[[nodiscard]] bool may_write(int fd);

// Whether the peer has some of what was written to a TCP socket still to acknowledge, and no record
// of it has come since the kernel has its keys: the tickets of a server are on their way.
[[nodiscard]] bool awaits_tickets(int fd);

// Whether we have shut a TCP socket down for reading, as abort_connection() does. The kernel does
// not tell it from the peer's end of a connection of which both sides have ended.
[[nodiscard]] bool is_cut_off(int fd);

// What one recvmsg brought.
//   size  bytes, or -1 and errno: EIO where a control record is next
//   type  ContentType of the record that they are from; kNoRecord where the kernel told none
struct Received {
  ssize_t size = -1;
  int type = kNoRecord;
};

// Application data, and nothing else: a control record stays where it is.
[[nodiscard]] Received receive_data(int fd, std::span<std::uint8_t> room);
// Whatever is next, without waiting, control records one at a time; kPeek leaves it there.
enum class Keep : bool { kTake, kPeek };
[[nodiscard]] Received receive_record(int fd, std::span<std::uint8_t> room, Keep keep);

// Sends an alert, without waiting. 0, or an errno: EAGAIN where there is no room.
[[nodiscard]] int send_alert(int fd, std::uint8_t description);

// The connection is over: tells the peer why, as far as that works without waiting, and shuts it
// down, so that nothing more is written or read by anybody.
void abort_connection(int fd, std::uint8_t alert);

}  // namespace broker
