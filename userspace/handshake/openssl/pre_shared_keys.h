// PreSharedKeys: the keys that both sides were given beforehand, by the identities that go with
// them, from a file.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "ktls/base/secret.h"

namespace tls {

class PreSharedKeys {
 public:
  // What libssl has room for: PSK_MAX_IDENTITY_LEN and PSK_MAX_PSK_LEN.
  static constexpr std::size_t kIdentitySizeMax = 256;
  static constexpr std::size_t kKeySizeMax = 512;
  // RFC 9257 section 6: "Each PSK SHOULD be derived from at least 128 bits of entropy".
  static constexpr std::size_t kKeySizeLeast = 16;

  using Key = ktls::Secret<kKeySizeMax, struct PreSharedKeyTag>;

  // Lines IDENTITY:HEXKEY, as stunnel's PSKsecrets and psktool(1) write them. The last colon of a
  // line is the one that counts; empty lines and those that begin with # are left out. Errors name
  // the file: kSystem if it cannot be read, kInvalidArgument, with the line, for one that is not of
  // this form, a key that is too short, an identity that is there twice, and a file without any.
  // No error holds anything of a line.
  [[nodiscard]] static ktls::Result<PreSharedKeys> load(const std::string& file);

  // nullptr: none has this identity.
  [[nodiscard]] const Key* find(std::string_view identity) const;
  // Of the file's first line: who a client is.
  [[nodiscard]] const std::string& first() const { return first_; }
  [[nodiscard]] std::size_t size() const { return keys_.size(); }
  // SHA-256 of all, in hex: another one where anything is another.
  [[nodiscard]] const std::string& digest() const { return digest_; }
  // For people: that others may read the file.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  [[nodiscard]] ktls::Result<void> add(std::string_view line, const std::string& where);
  [[nodiscard]] ktls::Result<void> take_digest();
  void warn_of_mode(const std::string& file);

  std::map<std::string, Key, std::less<>> keys_;
  std::string first_;
  std::string digest_;
  std::vector<std::string> warnings_;
};

}  // namespace tls
