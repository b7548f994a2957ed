// A directory listed.
#include "userspace/handshake/openssl/certificate_directory.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// Each is in memory with its chain; and no more files than that, with their keys and staples, are
// looked at.
constexpr std::size_t kCertificatesMax = 4096;
constexpr std::size_t kEntriesMax = 16 * kCertificatesMax;

bool is_certificate(const std::filesystem::path& path) {
  const bool is_hidden = path.filename().string().starts_with('.');
  return !is_hidden && (path.extension() == ".pem" || path.extension() == ".crt");
}

Result<std::vector<std::string>> files_in(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  std::size_t entries = 0;
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (is_certificate(entry->path())) files.push_back(entry->path().string());
    if (++entries > kEntriesMax || files.size() > kCertificatesMax) {
      return fail(Error::of(
          ErrorCode::kInvalidArgument,
          directory + ": holds more than " + std::to_string(kCertificatesMax) + " certificates"));
    }
  }
  if (error) return fail(Error::system(error.value(), directory));
  std::ranges::sort(files);
  return files;
}

}  // namespace

Result<std::vector<CertificateFiles>> certificates_in(const std::string& directory) {
  KTLS_TRY(const std::vector<std::string> files, files_in(directory));
  if (files.empty()) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          directory + ": holds no certificate: a file NAME.pem or NAME.crt"));
  }
  std::vector<CertificateFiles> certificates;
  for (const std::string& file : files) {
    const std::string key = std::filesystem::path(file).replace_extension(".key").string();
    std::error_code error;
    const auto status = std::filesystem::symlink_status(key, error);
    if (status.type() == std::filesystem::file_type::none) {
      return fail(Error::system(error.value(), key));
    }
    certificates.push_back(
        {.certificate_file = file, .key_file = std::filesystem::exists(status) ? key : ""});
  }
  return certificates;
}

}  // namespace tls
