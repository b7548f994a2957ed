// Variables, and which of them are ours to set.

#include "tools/ktls-bridge/program_environment.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "userspace/handshake/openssl/cipher_name.h"

namespace tools {
namespace {

// What a program believes must be ours, also where we have nothing to say.
constexpr std::array<std::string_view, 8> kOwnPrefixes = {
    "SSL_CLIENT_", "SSL_PEER_CERT_", "PROTO=",      "TCPLOCAL",
    "TCPREMOTE",   "SSL_PROTOCOL=",  "SSL_CIPHER=", "SSL_TLS_SNI_SERVERNAME="};

bool is_own(std::string_view variable) {
  return std::ranges::any_of(kOwnPrefixes, [variable](std::string_view prefix) {
    return variable.substr(0, prefix.size()) == prefix;
  });
}

void add_address(std::vector<std::string>& environment, const std::string& prefix,
                 const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  in_port_t port = 0;
  const void* bytes = nullptr;
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  if (address.family() == AF_INET) {
    bytes = &v4->sin_addr;
    port = v4->sin_port;
  } else if (address.family() == AF_INET6) {
    bytes = &v6->sin6_addr;
    port = v6->sin6_port;
  } else {
    return;
  }
  ::inet_ntop(address.family(), bytes, text.data(), text.size());
  environment.push_back(prefix + "IP=" + text.data());
  environment.push_back(prefix + "PORT=" + std::to_string(ntohs(port)));
}

}  // namespace

std::vector<std::string> program_environment(const SocketAddress& local,
                                             const SocketAddress& remote,
                                             const bridge::ConnectionFacts& facts) {
  std::vector<std::string> environment;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    if (!is_own(*each)) environment.emplace_back(*each);
  }
  environment.emplace_back(local.family() == AF_UNIX ? "PROTO=IPC" : "PROTO=TCP");
  add_address(environment, "TCPLOCAL", local);
  add_address(environment, "TCPREMOTE", remote);
  environment.push_back("SSL_PROTOCOL=" + std::string(tls::name_of(facts.version)));
  environment.push_back("SSL_CIPHER=" + tls::openssl_name_of(*facts.suite));
  if (facts.role == tls::Role::kServer && !facts.peer_name.empty()) {
    environment.push_back("SSL_TLS_SNI_SERVERNAME=" + facts.peer_name);
  }
  environment.emplace_back(facts.peer_certificate ? "SSL_CLIENT_VERIFY=SUCCESS"
                                                  : "SSL_CLIENT_VERIFY=NONE");
  if (facts.peer_certificate) {
    const tls::PeerCertificate& shown = *facts.peer_certificate;
    environment.push_back("SSL_CLIENT_S_DN=" + shown.subject);
    environment.push_back("SSL_CLIENT_S_DN_CN=" + shown.common_name);
    environment.push_back("SSL_CLIENT_I_DN=" + shown.issuer);
    environment.push_back("SSL_PEER_CERT_HASH=SHA256:" + shown.sha256);
    environment.push_back("SSL_PEER_CERT_SUBJECT=" + shown.subject);
  }
  return environment;
}

}  // namespace tools
