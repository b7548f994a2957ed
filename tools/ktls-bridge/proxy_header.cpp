// What there is to tell of a TLS connection, in the words of the PROXY protocol.

#include "tools/ktls-bridge/proxy_header.h"

#include <string>

#include "tools/proxy_protocol/binary_header.h"
#include "tools/proxy_protocol/text_header.h"
#include "userspace/handshake/openssl/cipher_name.h"
#include "userspace/suite/version.h"

namespace tools {
namespace {

proxy_protocol::TlsFacts tls_facts_of(const bridge::ConnectionFacts& facts) {
  proxy_protocol::TlsFacts tls;
  tls.version = tls::name_of(facts.version);
  tls.cipher = tls::openssl_name_of(*facts.suite);
  tls.authority = facts.peer_name;
  tls.alpn = facts.alpn;
  tls.signature_algorithm = facts.own_certificate.signature_algorithm;
  tls.key_algorithm = facts.own_certificate.key_algorithm;
  tls.client_certificate = facts.peer_certificate.has_value();
  tls.resumed = facts.resumed;
  if (facts.peer_certificate) tls.common_name = facts.peer_certificate->common_name;
  return tls;
}

}  // namespace

std::vector<std::uint8_t> encode_proxy_header(ProxyHeader kind,
                                              const proxy_protocol::Endpoints& endpoints,
                                              const bridge::ConnectionFacts* facts) {
  if (kind == ProxyHeader::kText) {
    const std::string line = proxy_protocol::encode_text_header(endpoints);
    return {line.begin(), line.end()};
  }
  if (kind == ProxyHeader::kAddresses || facts == nullptr) {
    return proxy_protocol::encode_binary_header(endpoints, nullptr);
  }
  const proxy_protocol::TlsFacts tls = tls_facts_of(*facts);
  return proxy_protocol::encode_binary_header(endpoints, &tls);
}

}  // namespace tools
