// What the client library says of a failure: errno, and a sentence of the thread's own.
#pragma once

#include <initializer_list>
#include <string_view>

#include "userspace/broker/protocol.h"

namespace broker {

// Sets errno, and what ktlsb_error_text() and ktlsb_error_reason() answer in this thread: the parts
// one behind the other, cut off where there is no room. Always -1. Parts may be what an earlier
// call left there only if they are the reason.
int fail(int error, std::string_view reason, std::initializer_list<std::string_view> parts);

// The same in the words of the broker's kError. Always -1.
int fail(const Answer& answer);

// A string of an answer: to its zero byte, or to the end of its room.
template <std::size_t kSize>
std::string_view text_of(const char (&room)[kSize]) {
  const std::string_view all(room, kSize);
  return all.substr(0, all.find('\0'));
}

}  // namespace broker
