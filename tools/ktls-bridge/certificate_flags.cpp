// What is said of certificates on the command line.

#include "tools/ktls-bridge/certificate_flags.h"

#include <algorithm>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "userspace/handshake/openssl/pins.h"

namespace tools {

void add_credential_flags(CLI::App& app, TlsOptions& options) {
  const auto add_files = [&app](const char* name, std::vector<std::string>& files,
                                const char* text) {
    app.add_option(name, files, text)->allow_extra_args(false)->type_name("FILE")->group("TLS");
  };
  add_files("--cert", options.certificate_files,
            "Certificate chain, PEM, leaf first; may be repeated, the first is the default, the "
            "others are chosen by name (SNI) and kind of key; without --cert, --key and --cert-dir "
            "a self-signed certificate is made");
  add_files("--key", options.key_files,
            "Private key, PEM, one for each --cert in order; default: in the files of --cert");
  app.add_option("--cert-dir", options.certificate_directory,
                 "More certificates: each NAME.pem or NAME.crt there, with its key in NAME.key or "
                 "in itself")
      ->type_name("DIR")
      ->group("TLS");
  add_files("--ocsp", options.ocsp_files,
            "OCSP response, DER, for one of the certificates, sent to clients that ask for it; may "
            "be repeated; one in the file of --cert with .ocsp at its end is found by itself");
}

void add_client_flags(CLI::App& app, TlsOptions& options) {
  static const std::map<std::string, tls::ClientAuthentication> kAnswers = {
      {"required", tls::ClientAuthentication::kRequired},
      {"optional", tls::ClientAuthentication::kOptional}};
  CLI::Option* const authority =
      app.add_option("--client-ca", options.client_ca_file,
                     "Ask clients for a certificate, and accept those that these, PEM, vouch for")
          ->type_name("FILE")
          ->group("TLS");
  app.add_option("--client-crl", options.client_crl_file,
                 "With --client-ca: revocation lists, PEM, a current one of each authority in a "
                 "client's chain")
      ->type_name("FILE")
      ->needs(authority)
      ->group("TLS");
  app.add_option_function<std::string>(
         "--client-auth",
         [&options](const std::string& text) { options.client_authentication = kAnswers.at(text); },
         "With --client-ca: required (refuse clients without a certificate) or optional")
      ->check(CLI::IsMember({"required", "optional"}).description(""))
      ->type_name("required|optional")
      ->default_str("required")
      ->needs(authority)
      ->group("TLS");
}

void add_pin_flag(CLI::App& app, std::vector<std::string>& pins) {
  app.add_option_function<std::vector<std::string>>(
         "--pin",
         [&pins](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             const auto parsed = tls::parse_pins(text);
             if (!parsed) throw CLI::ValidationError("--pin", parsed.error().message());
             pins.insert(pins.end(), parsed->begin(), parsed->end());
           }
         },
         "With --client: the peer's key must be one of these: sha256//BASE64 of its public key, as "
         "for curl --pinnedpubkey; may be repeated, and goes with --insecure, too")
      ->allow_extra_args(false)
      ->type_name("PIN")
      ->group("TLS");
}

ktls::Result<void> validate_certificates(const TlsOptions& options) {
  const auto refuse = [](const std::string& detail) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
  };
  const std::size_t certificates = options.certificate_files.size();
  const std::size_t keys = options.key_files.size();
  if (certificates == 0 && keys != 0) return refuse("--key needs --cert");
  if (keys != 0 && keys != certificates) {
    return refuse("--key: " + std::to_string(keys) + " for " + std::to_string(certificates) +
                  " of --cert: give one for each, or none if the keys are in the files of --cert");
  }
  if (!options.ocsp_files.empty() && !has_certificates(options) && options.hosts.empty()) {
    return refuse("--ocsp needs --cert or --cert-dir");
  }
  return {};
}

bool has_certificates(const TlsOptions& options) {
  return !options.certificate_files.empty() || !options.certificate_directory.empty();
}

std::vector<tls::CertificateFiles> certificates_of(const TlsOptions& options) {
  std::vector<tls::CertificateFiles> certificates;
  for (std::size_t i = 0; i < options.certificate_files.size(); ++i) {
    certificates.push_back({.certificate_file = options.certificate_files[i],
                            .key_file = options.key_files.empty() ? "" : options.key_files[i]});
  }
  return certificates;
}

bool is_about(std::string_view detail, const std::string& file) {
  if (file.empty() || !detail.starts_with(file)) return false;
  const std::string_view rest = detail.substr(file.size());
  return rest.empty() || rest.starts_with(":") || rest.starts_with("/");
}

std::string flag_of(std::string_view detail, const TlsOptions& options) {
  const std::vector<std::string> directory = {options.certificate_directory};
  const std::vector<std::string> authorities = {options.client_ca_file};
  const std::vector<std::string> lists = {options.client_crl_file};
  const std::vector<std::string> psks = {options.psk_file};
  const std::pair<const char*, const std::vector<std::string>*> flags[] = {
      {"--cert", &options.certificate_files},
      {"--key", &options.key_files},
      {"--ocsp", &options.ocsp_files},
      {"--client-ca", &authorities},
      {"--client-crl", &lists},
      {"--psk", &psks},
      {"--cert-dir", &directory}};
  for (const auto& [flag, files] : flags) {
    const auto is_meant = [&](const std::string& file) { return is_about(detail, file); };
    if (std::ranges::any_of(*files, is_meant)) return flag;
  }
  return {};
}

TlsOptions without_credentials(TlsOptions options) {
  options.certificate_files.clear();
  options.key_files.clear();
  options.certificate_directory.clear();
  options.ocsp_files.clear();
  options.client_ca_file.clear();
  options.client_crl_file.clear();
  options.ticket_key_files.clear();
  return options;
}

}  // namespace tools
