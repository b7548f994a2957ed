// install_into_kernel(): from a layer's state to kernel TLS, or back as if nothing had been asked.
#pragma once

#include "ktls/base/result.h"
#include "ktls/core/crypto_info.h"
#include "ktls/core/reason.h"
#include "userspace/api/layer.h"

namespace api {

// kNone: the kernel has the direction, and the layer has not. Another Reason: nothing has changed.
// Errors: kSystem (EBADF) for what is no descriptor, kProtocolViolation for a direction that cannot
// be released, kLimitReached when no sequence number is left; kCrypto when a state that came back
// could not be made again: the direction is gone then.
[[nodiscard]] ktls::Result<ktls::Reason> install_into_kernel(int fd, Layer& layer,
                                                             ktls::Direction direction);

}  // namespace api
