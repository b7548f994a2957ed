// Certificates of a client.
#include "userspace/handshake/openssl/client_certificates.h"

#include <map>
#include <utility>

#include "userspace/handshake/openssl/credentials.h"
#include "userspace/handshake/openssl/error_queue.h"

namespace tls {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

Result<std::vector<std::string>> show_to_servers(
    SSL_CTX* context, const std::vector<CertificateFiles>& certificates) {
  constexpr int kKeepOthers = 0;  // SSL_CTX_use_cert_and_key(3): `override`
  std::vector<std::string> warnings;
  std::map<int, std::string> file_of_kind;
  for (const CertificateFiles& files : certificates) {
    KTLS_TRY(const Credentials credentials,
             load_credentials(files.certificate_file, files.key_file));
    const auto [other, is_first] =
        file_of_kind.emplace(EVP_PKEY_get_base_id(credentials.key.get()), files.certificate_file);
    if (!is_first) {
      return fail(Error::of(ErrorCode::kInvalidArgument,
                            files.certificate_file + ": has the same kind of key as " +
                                other->second + ", and a client shows one of each kind"));
    }
    if (SSL_CTX_use_cert_and_key(context, credentials.leaf.get(), credentials.key.get(),
                                 credentials.chain.get(), kKeepOthers) != 1) {
      return fail(openssl_error(ErrorCode::kInvalidArgument,
                                files.certificate_file + ": libssl refuses the certificate"));
    }
    warnings.insert(warnings.end(), credentials.warnings.begin(), credentials.warnings.end());
  }
  return warnings;
}

}  // namespace tls
