// Result<T>: a value or an Error, the way every fallible call of ktls-bridge answers.
//
// Libraries never print and never throw on their own account: what went wrong travels in the
// Error, with the errno of the system call or the TLS alert it implies, and only tools turn it
// into text for people.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace ktls {

enum class ErrorCode : std::uint8_t {
  kSystem,             // a system call failed: sys_errno says how
  kEndOfStream,        // the transport ended where more was needed
  kInvalidArgument,    // the caller broke the contract of the function
  kProtocolViolation,  // a step that the state of the connection does not allow
  kSequenceUnknown,    // the witnesses of a record count disagree, so that no number is sure
  kBadRecordMac,       // a record that does not open
  kDecryptionFailed,   // ciphertext that is not whole blocks
  kRecordOverflow,     // a record longer than its limit
  kDecodeError,        // bytes that do not parse
  kIllegalParameter,   // a field with a value that it may not have
  kUnexpectedMessage,  // a well-formed message at the wrong time
  kPeerAlert,          // the peer sent a fatal alert: `alert` is its description
  kHandshakeFailed,    // libssl refused the handshake: detail says why
  kVerifyFailed,       // the peer's certificate was not accepted
  kUnsupported,        // a version, suite or feature that this build cannot do
  kLimitReached,       // a bound of ours: sequence numbers, buffers, connections
  kRekeyImpossible,    // a key has to be changed where it cannot be
  kKeyBudgetSpent,     // the same, because it has sealed as many records as it may
  kKeyMissing,         // the kernel waits for a receive key that nobody has brought
  kKeyUpdateFlood,     // the peer changes its key more often than KeyPolicy allows
  kAbandoned,          // a program let go of its connection without a word, as when it is killed
  kTimeout,            // a deadline passed
  kCancelled,          // the operation's scope was cancelled
  kCrypto,             // libcrypto refused an operation that should not fail
};

// What went wrong.
//   sys_errno  errno of the failing system call, 0 if none was involved
//   alert      AlertDescription (RFC 8446 section 6) to send or received, kNoAlert if none
//   detail     for people: names the call, the file or the field; never holds key material
struct Error {
  static constexpr std::uint8_t kNoAlert = 0xff;

  ErrorCode code = ErrorCode::kSystem;
  int sys_errno = 0;
  std::uint8_t alert = kNoAlert;
  std::string detail;

  [[nodiscard]] static Error system(int sys_errno, std::string_view call) {
    return {ErrorCode::kSystem, sys_errno, kNoAlert, std::string(call)};
  }
  [[nodiscard]] static Error of(ErrorCode code, std::string_view detail) {
    return {code, 0, kNoAlert, std::string(detail)};
  }
  [[nodiscard]] static Error alerting(ErrorCode code, std::uint8_t alert, std::string_view detail) {
    return {code, 0, alert, std::string(detail)};
  }

  // "setsockopt(TCP_ULP): No such file or directory", or the detail alone.
  [[nodiscard]] std::string message() const {
    if (sys_errno == 0) return detail;
    return detail + ": " + std::strerror(sys_errno);  // NOLINT(concurrency-mt-unsafe)
  }
};

template <typename T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace ktls

#define KTLS_TRY_JOIN_(a, b) a##b
#define KTLS_TRY_NAME_(line) KTLS_TRY_JOIN_(ktls_try_, line)

// KTLS_TRY(declaration, expression): declares what a successful Result holds, or returns its
// error from the enclosing (non-coroutine) function. The only control-flow macro there is.
#define KTLS_TRY(declaration, ...)                                    \
  auto KTLS_TRY_NAME_(__LINE__) = (__VA_ARGS__);                      \
  if (!KTLS_TRY_NAME_(__LINE__)) {                                    \
    return ::ktls::fail(std::move(KTLS_TRY_NAME_(__LINE__)).error()); \
  }                                                                   \
  declaration = *std::move(KTLS_TRY_NAME_(__LINE__))
