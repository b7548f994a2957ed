// The certificates of a directory.
#pragma once

#include <string>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/context.h"

namespace tls {

// Each NAME.pem or NAME.crt in `directory`, in the order of their names, with the key of NAME.key
// where that is there, and else with that in its own file. Names that begin with a dot are passed
// over, and so is whatever ends in another way. Errors name the directory: kSystem, and
// kInvalidArgument where it has no certificate, or too many.
[[nodiscard]] ktls::Result<std::vector<CertificateFiles>> certificates_in(
    const std::string& directory);

}  // namespace tls
