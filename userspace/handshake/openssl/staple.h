// Staple: an OCSP response from a file (RFC 6960), which a server shows with the certificate that
// it is about (RFC 6066 section 8).
#pragma once

#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <openssl/ocsp.h>

#include "ktls/base/result.h"
#include "userspace/handshake/openssl/credentials.h"

namespace tls {

class Staple {
 public:
  // Errors name the file: kSystem if it cannot be read, kInvalidArgument if it is no successful
  // response in DER.
  [[nodiscard]] static ktls::Result<Staple> read(const std::string& file);

  // Takes what it says of the leaf of `credentials`; false if that is nothing. Error:
  // kInvalidArgument, the response is not signed as the issuer of the leaf allows, as far as the
  // issuer is in the chain.
  [[nodiscard]] ktls::Result<bool> take_for(const Credentials& credentials);

  // After take_for(): why it is not sent, for people; empty where it is.
  [[nodiscard]] std::string objection(std::time_t now) const;
  [[nodiscard]] bool is_to_be_sent(std::time_t now) const { return objection(now).empty(); }
  [[nodiscard]] std::span<const std::uint8_t> der() const { return der_; }
  [[nodiscard]] const std::string& file() const { return file_; }

 private:
  using BasicPtr = std::unique_ptr<OCSP_BASICRESP, OpensslDeleter<OCSP_BASICRESP_free>>;

  [[nodiscard]] bool take_answer(OCSP_SINGLERESP* answer);

  std::string file_;
  std::vector<std::uint8_t> der_;
  BasicPtr basic_;
  int status_ = V_OCSP_CERTSTATUS_UNKNOWN;
  std::time_t this_update_ = 0;
  std::time_t next_update_ = 0;  // 0: the response does not say
};

}  // namespace tls
