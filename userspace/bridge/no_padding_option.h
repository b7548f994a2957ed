// NoPaddingOption: TLS_RX_EXPECT_NO_PAD on a socket whose records are received into buffers, on for
// as long as PaddingWatch advises it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ktls/core/socket.h"
#include "userspace/bridge/padding_watch.h"

namespace bridge {

// Does nothing before begin(), and nothing more once a system call that it needs has failed: the
// option only saves work. The kernel keeps the option when it gets another key.
class NoPaddingOption {
 public:
  // `is_offered`: TLS 1.3, and Capability::expect_no_padding.
  NoPaddingOption(const ktls::TlsSocket& socket, ktls::Cipher cipher, bool is_offered)
      : socket_(socket), cipher_(cipher), is_offered_(is_offered) {}

  // A record is about to be received into a buffer. Counting begins with the first.
  void begin();
  // What was delivered; `capacity`: of the buffer that it came in. Sets the option.
  void received(const ktls::ReceivedBytes& bytes, std::size_t capacity);
  // Application data that was delivered otherwise.
  void spliced(std::size_t size) { totals_.content += size; }
  // The key is about to be changed, and the next record will be number `sequence`.
  void change_key(std::uint64_t sequence);

  void change_descriptor(int fd) { socket_.change_descriptor(fd); }

  [[nodiscard]] bool is_on() const { return is_on_; }

 private:
  // Counts, and has the watch judge. False where it cannot be done just now.
  bool look(std::uint64_t undelivered_max);
  void set(bool on);
  void give_up();

  ktls::TlsSocket socket_;
  ktls::Cipher cipher_;
  bool is_offered_;
  bool has_begun_ = false;
  bool is_on_ = false;
  PaddingWatch watch_;
  ReceivedTotals totals_;          // but for wire and records, which are counted at each look
  std::uint64_t wire_before_ = 0;  // consumed when counting began
  // Records under earlier keys, less those before counting began; as numbers of records wrap.
  std::uint64_t records_before_ = 0;
  std::uint32_t receives_ = 0;  // since the last look
};

}  // namespace bridge
