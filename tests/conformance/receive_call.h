// ReceiveCall: one of the system calls by which application data leaves a kernel TLS socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "ktls/base/result.h"
#include "ktls/core/socket.h"

namespace conformance {

// On a blocking socket on which TLS_RX is installed. Only recvmsg with a control buffer sees the
// type of a record: the other calls fail on a control record, and find nothing at an empty one, so
// all of them leave to it what they cannot have.
class ReceiveCall {
 public:
  explicit ReceiveCall(int fd) : socket_(fd) {}
  virtual ~ReceiveCall() = default;

  // What came of one call: application data by the call itself, all else by recvmsg.
  // Errors: kSystem; kUnexpectedMessage for application data that only recvmsg could have.
  [[nodiscard]] ktls::Result<ktls::ReceivedBytes> receive(std::span<std::uint8_t> content);

  // Times the call gave way to recvmsg.
  [[nodiscard]] std::uint64_t times_given_way() const { return times_given_way_; }

 protected:
  [[nodiscard]] int fd() const { return socket_.fd(); }
  // Waits for a record of any type.
  [[nodiscard]] ktls::Result<ktls::ReceivedBytes> receive_typed(std::span<std::uint8_t> content);

 private:
  // Bytes of application data; 0 when something else is there, or nothing any more.
  [[nodiscard]] virtual ktls::Result<std::size_t> receive_data(std::span<std::uint8_t> content) = 0;
  // Whether it sees types itself.
  [[nodiscard]] virtual bool is_typed() const { return false; }

  ktls::TlsSocket socket_;
  std::uint64_t times_given_way_ = 0;
};

// `name`: read, recvmsg, splice, io_uring. Errors: kInvalidArgument for another, kSystem.
[[nodiscard]] ktls::Result<std::unique_ptr<ReceiveCall>> make_receive_call(std::string_view name,
                                                                           int fd);

}  // namespace conformance
