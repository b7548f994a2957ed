// TlsFacts: what a binary header tells of the TLS connection that the stream comes from.
#pragma once

#include <string>

namespace proxy_protocol {

// Fields that are empty are left out of the header.
//   version              "TLSv1.3"
//   cipher               by OpenSSL's name
//   authority            the name that the client asked for
//   alpn                 the protocol agreed on
//   common_name          of the client's certificate
//   signature_algorithm  by which the server's certificate is signed: "RSA-SHA256"
//   key_algorithm        and its key: "RSA2048", "EC256"
//   client_certificate   the client has shown one, which was verified
//   resumed              and it did so when the session began
struct TlsFacts {
  std::string version;
  std::string cipher;
  std::string authority;
  std::string alpn;
  std::string common_name;
  std::string signature_algorithm;
  std::string key_algorithm;
  bool client_certificate = false;
  bool resumed = false;
};

}  // namespace proxy_protocol
