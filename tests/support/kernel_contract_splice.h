// KernelContractSplice: the contract where pipes and files meet sockets. A test program
// instantiates it with the kernels of KernelContract.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/kernel_contract.h"

namespace ktls {

class KernelContractSplice : public KernelContract {
 public:
  // TLS 1.3 AES-GCM: content type and tag.
  static constexpr std::size_t kOverhead = 1 + 16;
  static constexpr Cipher kCipher = Cipher::kAes128Gcm;
  // More than there is.
  static constexpr std::size_t kPlenty = 1 << 20;

 protected:
  struct Ends {
    int read = -1;
    int write = -1;
  };
  Ends pipe() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(kernel().pipe(fds), 0);
    return {own(fds[0]), own(fds[1])};
  }
  void write_pieces(int fd, std::size_t count, std::string_view piece) {
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(kernel().write(fd, bytes_of(piece)), static_cast<ssize_t>(piece.size()));
    }
  }
  // Everything in the pipe.
  Bytes contents(int fd) {
    Bytes all;
    Bytes buffer(65536);
    while (true) {
      const ssize_t size = kernel().read(fd, buffer);
      if (size <= 0) return all;
      all.insert(all.end(), buffer.begin(), buffer.begin() + size);
    }
  }
  // What splice answers: the size, or -errno.
  ssize_t splice(int from, int to, std::size_t size = kPlenty, unsigned flags = 0) {
    const ssize_t moved = kernel().splice(from, to, size, flags);
    return moved < 0 ? -errno : moved;
  }
  ssize_t sendfile(int to, int from, std::size_t offset, std::size_t size) {
    const ssize_t sent = kernel().sendfile(to, from, offset, size);
    return sent < 0 ? -errno : sent;
  }
  // Only the sender has keys: the receiver sees what is on the wire.
  Pair sending_pair() {
    const Pair pair = attached_pair();
    EXPECT_TRUE(socket(pair.sender)
                    .install(Direction::kTransmit, contract_info(kCipher, Version::kTls13))
                    .has_value());
    return pair;
  }
  // Plaintext lengths of all the next records on the wire.
  void expect_lengths(int fd, const std::vector<std::size_t>& lengths) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const Bytes header = read_raw(fd, 5);
      ASSERT_EQ(header.size(), 5U);
      const auto length = static_cast<std::size_t>(header[3] << 8 | header[4]);
      read_raw(fd, length);
      found.push_back(length - kOverhead);
    }
    EXPECT_EQ(found, lengths);
    EXPECT_EQ(kernel().unread(fd), 0U);
  }
  std::uint64_t sent_records(int fd) { return sequence_of(fd, Direction::kTransmit, kCipher); }
};

}  // namespace ktls
