// Writing binary headers.

#include <algorithm>
#include <string_view>

#include <netinet/in.h>
#include <sys/un.h>

#include "tools/proxy_protocol/binary_format.h"
#include "tools/proxy_protocol/binary_header.h"

namespace proxy_protocol {
namespace {

using tools::SocketAddress;
using Output = std::vector<std::uint8_t>;

// The certificate of a client that has shown one was verified; for the others the specification
// wants any number but 0.
constexpr std::uint8_t kVerified = 0;
constexpr std::uint8_t kNotVerified = 1;

void add_two_bytes(Output& output, std::size_t number) {
  output.push_back(static_cast<std::uint8_t>(number >> 8));
  output.push_back(static_cast<std::uint8_t>(number));
}

void add_object(Output& output, const void* object, std::size_t size) {
  const auto* const bytes = static_cast<const std::uint8_t*>(object);
  output.insert(output.end(), bytes, bytes + size);
}

void add_vector(Output& output, VectorType type, std::string_view value) {
  if (value.empty() || value.size() > kValueMax) return;
  output.push_back(static_cast<std::uint8_t>(type));
  add_two_bytes(output, value.size());
  add_object(output, value.data(), value.size());
}

std::uint8_t family_of(const SocketAddress& address) {
  switch (address.family()) {
    case AF_INET:
      return kFamilyIpv4;
    case AF_INET6:
      return kFamilyIpv6;
    case AF_UNIX:
      return kFamilyUnix;
    default:
      return kFamilyUnspecified;
  }
}

void add_path(Output& output, const SocketAddress& address) {
  const auto& sun = reinterpret_cast<const sockaddr_un&>(address.storage);
  add_object(output, sun.sun_path, kUnixPathSize);
}

void add_addresses(Output& output, const Endpoints& endpoints) {
  const SocketAddress* const ends[] = {&endpoints.source, &endpoints.destination};
  for (const SocketAddress* const end : ends) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(end->storage);
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(end->storage);
    if (end->family() == AF_INET) add_object(output, &v4.sin_addr, kIpv4Size);
    if (end->family() == AF_INET6) add_object(output, &v6.sin6_addr, kIpv6Size);
    if (end->family() == AF_UNIX) add_path(output, *end);
  }
  if (family_of(endpoints.source) == kFamilyUnix) return;
  for (const SocketAddress* const end : ends) add_two_bytes(output, end->port());
}

Output tls_value(const TlsFacts& tls) {
  Output value;
  std::uint8_t client = kClientTls;
  if (tls.client_certificate) {
    client |= kClientCertificateInSession;
    if (!tls.resumed) client |= kClientCertificateNow;
  }
  value.push_back(client);
  add_two_bytes(value, 0);
  add_two_bytes(value, tls.client_certificate ? kVerified : kNotVerified);
  add_vector(value, VectorType::kTlsVersion, tls.version);
  add_vector(value, VectorType::kTlsCommonName, tls.common_name);
  add_vector(value, VectorType::kTlsCipher, tls.cipher);
  add_vector(value, VectorType::kTlsSignatureAlgorithm, tls.signature_algorithm);
  add_vector(value, VectorType::kTlsKeyAlgorithm, tls.key_algorithm);
  return value;
}

}  // namespace

Output encode_binary_header(const Endpoints& endpoints, const TlsFacts* tls) {
  Output header(kSignature.begin(), kSignature.end());
  const std::uint8_t family = family_of(endpoints.source);
  const std::uint8_t transport = family == kFamilyUnspecified ? 0 : kTransportStream;
  header.push_back(kCommandProxy);
  header.push_back(static_cast<std::uint8_t>(family << 4 | transport));
  add_two_bytes(header, 0);  // the length, known at the end
  if (family != kFamilyUnspecified) add_addresses(header, endpoints);
  if (tls != nullptr) {
    add_vector(header, VectorType::kAlpn, tls->alpn);
    add_vector(header, VectorType::kAuthority, tls->authority);
    const Output value = tls_value(*tls);
    header.push_back(static_cast<std::uint8_t>(VectorType::kTls));
    add_two_bytes(header, value.size());
    header.insert(header.end(), value.begin(), value.end());
  }
  const std::size_t size = header.size() - kBinaryPrefixSize;
  header[kLengthAt] = static_cast<std::uint8_t>(size >> 8);
  header[kLengthAt + 1] = static_cast<std::uint8_t>(size);
  return header;
}

}  // namespace proxy_protocol
