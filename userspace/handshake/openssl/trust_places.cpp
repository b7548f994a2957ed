// X509_get_default_cert_dir(3) and its like.

#include "userspace/handshake/openssl/trust_places.h"

#include <algorithm>
#include <cstdlib>

#include <openssl/x509.h>

namespace tls {
namespace {

// A list with colons, as libcrypto takes it.
void add_all(const std::string& list, std::vector<std::string>& places) {
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) places.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
}

// As libcrypto does: not from the environment of a program with more rights than its user.
std::string chosen(const char* variable, const char* otherwise) {
  const char* const value = ::secure_getenv(variable);
  return value != nullptr ? value : otherwise;
}

}  // namespace

std::vector<std::string> system_trust_places() {
  std::vector<std::string> places = {
      chosen(X509_get_default_cert_file_env(), X509_get_default_cert_file())};
  add_all(chosen(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()), places);
  return places;
}

}  // namespace tls
