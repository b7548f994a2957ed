// The C interface of the kernel: installing, typed records, and where a socket's directions run.
#include <cerrno>

#include "ktls/core/reason.h"
#include "ktls/core/socket.h"
#include "ktls/observe/placement.h"
#include "userspace/api/c_handles.h"
#include "userspace/api/kernel_install.h"

namespace {

using api::answer;
using api::code_of;
using api::guarded;
using api::refuse;
using ktls::Error;
using ktls::ErrorCode;

// What the kernel's errors on receiving mean (net/tls/tls_sw.c: tls_rx_msg_size, tls_decrypt_sg).
int code_of_kernel(const Error& error) {
  if (error.code == ErrorCode::kSystem && error.sys_errno == EBADMSG) return KTLSB_BAD_RECORD_MAC;
  if (error.code == ErrorCode::kSystem && error.sys_errno == EMSGSIZE) return KTLSB_RECORD_OVERFLOW;
  return code_of(error);
}

// The row of a number from C; nullptr where it is none.
const ktls::ReasonText* reason_row(int reason) {
  const auto rows = ktls::reason_texts();
  return reason >= 0 && static_cast<std::size_t>(reason) < rows.size() ? &rows[reason] : nullptr;
}

static_assert(static_cast<int>(ktls::ObservedPlace::kUserspace) == KTLSB_IN_USERSPACE &&
              static_cast<int>(ktls::ObservedPlace::kKernel) == KTLSB_IN_KERNEL &&
              static_cast<int>(ktls::ObservedPlace::kNic) == KTLSB_IN_NIC &&
              static_cast<int>(ktls::ObservedPlace::kKernelOrNic) == KTLSB_IN_KERNEL_OR_NIC &&
              static_cast<int>(ktls::ObservedPlace::kUnknown) == KTLSB_IN_UNKNOWN);

}  // namespace

// --- the kernel --------------------------------------------------------------------------------

int ktlsb_install(int fd, ktlsb_layer* layer, ktlsb_direction direction, int* reason) {
  return guarded([&]() -> int {
    *reason = static_cast<int>(ktls::Reason::kNone);
    if (direction != KTLSB_RECEIVE && direction != KTLSB_TRANSMIT) {
      return refuse(layer, KTLSB_OUT_OF_RANGE, "no such direction");
    }
    const auto refusal = api::install_into_kernel(
        fd, *layer,
        direction == KTLSB_RECEIVE ? ktls::Direction::kReceive : ktls::Direction::kTransmit);
    if (!refusal) return answer(layer, refusal.error());
    if (*refusal == ktls::Reason::kNone) return KTLSB_OK;
    *reason = static_cast<int>(*refusal);
    layer->fail(std::string(ktls::text_of(*refusal).sentence));
    return KTLSB_NOT_IN_KERNEL;
  });
}

// The texts are literals, so that they end with a zero byte.
const char* ktlsb_reason_code(int reason) {
  const auto* const row = reason_row(reason);
  return row == nullptr ? "unknown" : row->code.data();
}

const char* ktlsb_reason_sentence(int reason) {
  const auto* const row = reason_row(reason);
  return row == nullptr ? "" : row->sentence.data();
}

const char* ktlsb_reason_remedy(int reason) {
  const auto* const row = reason_row(reason);
  return row == nullptr ? "" : row->remedy.data();
}

int ktlsb_send(int fd, uint8_t type, const uint8_t* content, size_t content_size, size_t* sent) {
  return guarded([&]() -> int {
    *sent = 0;
    const auto taken = ktls::TlsSocket(fd).send(type, {content, content_size});
    if (!taken) return code_of(taken.error());
    *sent = *taken;
    return KTLSB_OK;
  });
}

int ktlsb_receive(int fd, uint8_t* type, uint8_t* content, size_t capacity, size_t* size,
                  int* end) {
  return guarded([&]() -> int {
    *type = 0;
    *size = 0;
    *end = 0;
    const auto received = ktls::TlsSocket(fd).receive({content, capacity});
    if (!received) return code_of_kernel(received.error());
    *type = received->type;
    *size = received->size;
    *end = received->end_of_stream;
    return KTLSB_OK;
  });
}

int ktlsb_placement(int fd, ktlsb_places* places) {
  return guarded([&]() -> int {
    *places = {};
    const auto observed = ktls::observe_placement(fd);
    if (!observed) return code_of(observed.error());
    places->transmit = static_cast<ktlsb_place>(observed->transmit);
    places->receive = static_cast<ktlsb_place>(observed->receive);
    places->version = observed->version;
    places->cipher = observed->cipher;
    if (observed->unseen != ktls::Unseen::kNothing) {
      places->unseen = ktls::name_of(observed->unseen).data();
    }
    return KTLSB_OK;
  });
}

const char* ktlsb_place_name(ktlsb_place place) {
  if (place < KTLSB_IN_USERSPACE || place > KTLSB_IN_UNKNOWN) place = KTLSB_IN_UNKNOWN;
  return ktls::name_of(static_cast<ktls::ObservedPlace>(place)).data();
}
