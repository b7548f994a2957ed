// The flags of certificates: our own, and those of clients.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "tools/ktls-bridge/tls_flags.h"
#include "userspace/handshake/openssl/context.h"

namespace CLI {
class App;
}

namespace tools {

// As the functions of tls_flags.h.
void add_credential_flags(CLI::App& app, TlsOptions& options);  // --cert --key and the like
void add_client_flags(CLI::App& app, TlsOptions& options);      // --client-ca and the like

// --pin, for the client role. Values that are no pins raise CLI::ValidationError.
void add_pin_flag(CLI::App& app, std::vector<std::string>& pins);

// What one flag alone cannot tell. Error: kInvalidArgument naming the flags.
[[nodiscard]] ktls::Result<void> validate_certificates(const TlsOptions& options);

// Whether there are certificates to be read, but for those of hosts.
[[nodiscard]] bool has_certificates(const TlsOptions& options);

// --cert with --key, in order.
[[nodiscard]] std::vector<tls::CertificateFiles> certificates_of(const TlsOptions& options);

// Whether an error's `detail` is about `file`, which is not empty, or about what is in it.
[[nodiscard]] bool is_about(std::string_view detail, const std::string& file);
// "--cert", of what `detail` is about; empty: of nothing that `options` name.
[[nodiscard]] std::string flag_of(std::string_view detail, const TlsOptions& options);

// `options` without what says who we are and whom we ask.
[[nodiscard]] TlsOptions without_credentials(TlsOptions options);

}  // namespace tools
