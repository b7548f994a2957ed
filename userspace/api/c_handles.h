// What the files of the C interface share: the handles, and how an Error becomes a number.
#pragma once

#include <new>
#include <span>
#include <stdexcept>
#include <string>

#include "userspace/api/framer.h"
#include "userspace/api/ktls_bridge.h"
#include "userspace/api/layer.h"
#include "userspace/api/record_socket.h"
#include "userspace/record/record_layer.h"

// A handle is the object; the name alone is C's.
struct ktlsb_layer final : api::Layer {};
struct ktlsb_framer final : api::Framer {};
struct ktlsb_record_socket final : api::RecordSocket {
  ktlsb_record_socket(int fd, ktlsb_layer* of) : RecordSocket(fd, *of), layer(of) {}
  ktlsb_layer* layer;  // which remembers what went wrong
};

namespace api {

// `invalid` is what an argument that cannot be means to the function at hand. Sets errno where the
// answer is KTLSB_SYSTEM.
[[nodiscard]] int code_of(const ktls::Error& error, int invalid = KTLSB_OUT_OF_RANGE);

// The same, and the layer remembers what it was.
int answer(ktlsb_layer* layer, const ktls::Error& error, int invalid = KTLSB_OUT_OF_RANGE);
template <class T>
int answer(ktlsb_layer* layer, const ktls::Result<T>& result, int invalid = KTLSB_OUT_OF_RANGE) {
  return result ? int{KTLSB_OK} : answer(layer, result.error(), invalid);
}
int refuse(ktlsb_layer* layer, int error, const char* detail);

// Only memory can run out in here, and no exception may reach C.
template <class Function>
int guarded(Function function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return KTLSB_NO_MEMORY;
  } catch (const std::length_error&) {
    return KTLSB_OUT_OF_RANGE;  // more than any memory holds
  }
}

// The same where the answer is a size. 0 has the caller ask the function that can say what is
// wrong.
template <class Function>
std::size_t guarded_size(Function function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

[[nodiscard]] ktlsb_header header_of(const tls::RecordHeader& header);
[[nodiscard]] tls::RecordHeader header_of(const ktlsb_header& header);
[[nodiscard]] ktlsb_record record_of(const tls::Record& record);

}  // namespace api
