#include "userspace/broker/client_error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "userspace/broker/ktls_bridge_client.h"

namespace broker {
namespace {

// The kernel's errnos are below this (include/linux/err.h, MAX_ERRNO).
constexpr std::uint32_t kErrnoMax = 4095;

struct LastFailure {
  std::array<char, sizeof(Answer::reason)> reason{};
  std::array<char, sizeof(Answer::text) + 64> text{};
};

// Few bytes, in the static block of the thread: a library that is loaded later finds room there,
// and no call allocates.
thread_local LastFailure last_failure;

template <std::size_t kSize>
std::size_t append(std::array<char, kSize>& room, std::size_t used, std::string_view part) {
  const std::size_t size = std::min(part.size(), kSize - 1 - used);
  std::copy_n(part.data(), size, room.data() + used);
  room[used + size] = '\0';
  return used + size;
}

}  // namespace

int fail(int error, std::string_view reason, std::initializer_list<std::string_view> parts) {
  append(last_failure.reason, 0, reason);
  std::size_t used = append(last_failure.text, 0, "");
  for (const std::string_view part : parts) used = append(last_failure.text, used, part);
  errno = error;
  return -1;
}

int fail(const Answer& answer) {
  const bool is_errno = answer.error > 0 && answer.error <= kErrnoMax;
  return fail(is_errno ? static_cast<int>(answer.error) : EPROTO, text_of(answer.reason),
              {text_of(answer.text)});
}

}  // namespace broker

const char* ktlsb_error_text(void) {
  return broker::last_failure.text.data();
}

const char* ktlsb_error_reason(void) {
  return broker::last_failure.reason.data();
}
