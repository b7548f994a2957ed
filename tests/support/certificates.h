// Certificates for tests: a small authority that issues leaves of every kind a test can want, and a
// directory to put the PEM files in.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace tls::test {

enum class KeyKind { kEcdsa, kRsa, kDsa };

struct LeafOptions {
  KeyKind key = KeyKind::kEcdsa;
  std::string common_name = "leaf";
  std::vector<std::string> dns_names = {"server.test"};
  std::vector<std::string> addresses = {};  // IP addresses
  long not_before_s = -3600;                // from now
  long not_after_s = 86400;
};

struct Issued {
  std::string certificate_pem;
  std::string key_pem;
};

// What an authority says of a certificate by OCSP; times from now.
enum class OcspStatus { kGood, kRevoked, kUnknown };
struct OcspOptions {
  OcspStatus status = OcspStatus::kGood;
  long this_update_s = -3600;
  long next_update_s = 3600;  // 0: it says none
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "Test Authority");
  ~TestAuthority();

  [[nodiscard]] const std::string& certificate_pem() const { return certificate_pem_; }
  [[nodiscard]] Issued issue(const LeafOptions& options) const;
  // PEM of the list of what is revoked, by certificates in PEM.
  [[nodiscard]] std::string revocation_list(const std::vector<std::string>& revoked,
                                            long next_update_s = 3600) const;
  // DER of the answer to a question about `certificate_pem`.
  [[nodiscard]] std::string ocsp_response(const std::string& certificate_pem,
                                          const OcspOptions& options = {}) const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string certificate_pem_;
};

// The same key in an encrypted PEM block (PKCS #8).
[[nodiscard]] std::string encrypt_key(const std::string& key_pem, const std::string& passphrase);

// A directory that goes with its contents.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Writes a file and answers its path.
  [[nodiscard]] std::string write(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

}  // namespace tls::test
