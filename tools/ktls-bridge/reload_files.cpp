#include "tools/ktls-bridge/reload_files.h"

namespace tools {

std::vector<std::string> reload_files(const TlsOptions& options) {
  std::vector<std::string> files = {options.certificate_file, options.key_file,
                                    options.client_ca_file};
  for (const tls::Host& host : options.hosts) {
    files.push_back(host.certificate_file);
    files.push_back(host.key_file);
  }
  std::erase(files, std::string());
  return files;
}

}  // namespace tools
