#include "tools/ktls-bridge/reload_files.h"

#include <filesystem>
#include <system_error>

#include "userspace/handshake/openssl/certificate_directory.h"

namespace tools {
namespace {

// An OCSP response may stand beside each certificate, and be a link like it.
void add_staples(std::vector<std::string>& files) {
  std::vector<std::string> staples;
  for (const std::string& each : files) {
    std::error_code error;
    const std::string staple = each + ".ocsp";
    if (std::filesystem::exists(staple, error)) staples.push_back(staple);
  }
  files.insert(files.end(), staples.begin(), staples.end());
}

}  // namespace

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
  add_staples(files);
  return files;
}

std::vector<std::string> reload_directories(const TlsOptions& options) {
  if (options.certificate_directory.empty()) return {};
  return {options.certificate_directory};
}

}  // namespace tools
