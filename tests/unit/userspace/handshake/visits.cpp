// Connections of a libssl client to a server of ours.
#include "tests/unit/userspace/handshake/visits.h"

#include <stdexcept>
#include <utility>

#include <openssl/err.h>

#include "userspace/handshake/openssl/credentials.h"

namespace tls::test {

Host host(const std::string& name, LeafOptions leaf) {
  if (leaf.dns_names.empty()) {
    leaf.dns_names = {name.ends_with('.') ? name.substr(0, name.size() - 1) : name};
  }
  const ServerOptions files = pki().serve(leaf);
  return {.name = name, .certificate_file = files.certificate_file, .key_file = files.key_file};
}

Visit end_of(LibsslPeer& client, OurPeer& server) {
  Visit visit;
  Connection ours = finish(server);
  EXPECT_EQ(client.read(ours.seal("from the server")), "from the server");
  EXPECT_EQ(ours.open(client.write("from the client")), "from the client");
  visit.fingerprint = fingerprint_of(SSL_get0_peer_certificate(client.ssl()));
  visit.host = server.context().certificates().at(ours.negotiated().host).host;
  visit.peer_name = ours.negotiated().peer_name;
  visit.alpn = ours.negotiated().alpn;
  visit.fragment_size_max = ours.negotiated().fragment_size_max;
  visit.resumed = ours.negotiated().resumed;
  visit.session.reset(SSL_SESSION_dup(SSL_get_session(client.ssl())));
  return visit;
}

Visit visit_as(const std::string& name, const std::shared_ptr<Context>& server,
               ProtocolVersion version, SSL_SESSION* session, SSL_CTX* client_context) {
  const SslCtxPtr own = client_context == nullptr ? libssl_client() : nullptr;
  SSL_CTX* const context = client_context == nullptr ? own.get() : client_context;
  SSL_CTX_set_min_proto_version(context, static_cast<int>(version));
  SSL_CTX_set_max_proto_version(context, static_cast<int>(version));
  // Copies go in and out, as SSL_free() and SSL_CTX_free() mark theirs as not to be resumed.
  const SessionPtr offered(session == nullptr ? nullptr : SSL_SESSION_dup(session));
  LibsslPeer client(context, Role::kClient, name, offered.get());
  ERR_clear_error();
  OurPeer ours(server, Role::kServer);
  converse(client, ours);
  if (!client.done()) {
    ADD_FAILURE() << "the handshake did not end";
    throw std::runtime_error("handshake");
  }
  return end_of(client, ours);
}

std::string name_of_version(const testing::TestParamInfo<ProtocolVersion>& version) {
  return version.param == ProtocolVersion::kTls13 ? "Tls13" : "Tls12";
}

}  // namespace tls::test
