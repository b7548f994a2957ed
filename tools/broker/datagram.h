// The broker's messages on their way: requests with their descriptors, and answers with theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "tools/broker/foreign_fd.h"
#include "userspace/broker/protocol.h"
#include "userspace/io/loop.h"
#include "userspace/io/scope.h"
#include "userspace/io/task.h"

namespace tools {

// One request and what came with it.
struct Message {
  broker::Request request;
  std::vector<std::uint8_t> payload;
  std::vector<ForeignFd> descriptors;
};

// The next message on `fd`, a SOCK_SEQPACKET socket; nothing at its end. Errors: kDecodeError for
// what is no message of the protocol, or lost a descriptor because we have none left; those of the
// socket and the scope. After any of them the socket is of no use any more.
[[nodiscard]] bridge::Task<ktls::Result<std::optional<Message>>> receive_message(
    bridge::Loop& loop, bridge::Scope& scope, int fd);

// `passed`: a descriptor that goes with the answer, or -1. Waits for room, also where the kernel
// has as many descriptors in flight as it takes (ETOOMANYREFS). Errors: those of the socket and the
// scope.
[[nodiscard]] bridge::Task<ktls::Result<void>> send_answer(bridge::Loop& loop, bridge::Scope& scope,
                                                           int fd, const broker::Answer& answer,
                                                           int passed = -1);

// An answer that brings no descriptor, without waiting. Errors: those of the socket.
[[nodiscard]] ktls::Result<void> send_answer_now(int fd, const broker::Answer& answer);

// Sends a request without a payload as it came, without waiting. False: it did not go.
[[nodiscard]] bool send_request(int fd, const Message& message);

[[nodiscard]] broker::Answer answer_of(broker::Kind kind);
// kError. `reason`: the code of a Reason, or empty.
[[nodiscard]] broker::Answer refusal(int sys_errno, std::string_view text,
                                     std::string_view reason = {});

// As much of `text` as has room, and a zero byte.
template <std::size_t kSize>
void copy_text(char (&to)[kSize], std::string_view text) {
  const std::size_t size = text.copy(static_cast<char*>(to), kSize - 1);
  to[size] = '\0';
}

}  // namespace tools
