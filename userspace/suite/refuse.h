// refuse(): how a check says no, with the alert that the peer is owed.
#pragma once

#include <string_view>

#include "ktls/base/result.h"
#include "userspace/suite/alert.h"

namespace tls {

[[nodiscard]] inline tl::unexpected<ktls::Error> refuse(ktls::ErrorCode code,
                                                        AlertDescription alert,
                                                        std::string_view detail) {
  return ktls::fail(ktls::Error::alerting(code, code_of(alert), detail));
}

}  // namespace tls
