#include "tools/ktls-bridge/reload_files.h"

#include "userspace/handshake/openssl/certificate_directory.h"

namespace tools {

std::vector<std::string> reload_files(const TlsOptions& options) {
  std::vector<std::string> files = {options.client_ca_file, options.client_crl_file,
                                    options.psk_file};
  for (const auto* each : {&options.certificate_files, &options.key_files, &options.ocsp_files,
                           &options.ticket_key_files}) {
    files.insert(files.end(), each->begin(), each->end());
  }
  for (const tls::Host& host : options.hosts) {
    files.push_back(host.certificate_file);
    files.push_back(host.key_file);
  }
  if (const auto found = tls::certificates_in(options.certificate_directory); found) {
    for (const tls::CertificateFiles& each : *found) {
      files.push_back(each.certificate_file);
      files.push_back(each.key_file);
    }
  }
  std::erase(files, std::string());
  return files;
}

std::vector<std::string> reload_directories(const TlsOptions& options) {
  if (options.certificate_directory.empty()) return {};
  return {options.certificate_directory};
}

}  // namespace tools
