// One handshake by bridge::establish().

#include "tests/conformance/own_handshake.h"

#include <optional>
#include <string>
#include <utility>

#include "userspace/bridge/establish.h"
#include "userspace/handshake/openssl/libssl_name.h"
#include "userspace/io/scope.h"

namespace conformance {
namespace {

using bridge::Loop;
using bridge::Scope;
using bridge::Task;
using ktls::Result;
using tls::Handshake;

template <typename Options>
Options options_of(const Cell& cell, KeyLog* keys) {
  Options options;
  options.version_min = options.version_max = cell.version;
  // By name, so that the cell does not depend on what is offered by default.
  const bool is_13 = cell.version == tls::ProtocolVersion::kTls13;
  (is_13 ? options.ciphersuites : options.ciphers) = tls::libssl_name_of(*cell.suite);
  if (keys != nullptr) {
    options.keylog = [keys](std::string_view line) { keys->append(line); };
  }
  return options;
}

Result<std::shared_ptr<tls::Context>> make_context(const Cell& cell, tls::Role role,
                                                   const Surroundings& surroundings, KeyLog* keys) {
  if (role == tls::Role::kClient) {
    auto options = options_of<tls::ClientOptions>(cell, keys);
    options.verify = false;
    // Not the system's trust store, which takes longer to read than a handshake.
    options.ca_file = surroundings.certificate_file;
    return tls::Context::client(options);
  }
  auto options = options_of<tls::ServerOptions>(cell, keys);
  options.certificate_file = surroundings.certificate_file;
  options.key_file = surroundings.key_file;
  return tls::Context::server(options);
}

Task<void> shake_hands(Loop& loop, int fd, Handshake& handshake,
                       std::optional<Result<Handshake::Finished>>& outcome) {
  Scope scope(loop);
  outcome = co_await bridge::establish(loop, scope, fd, handshake);
  loop.stop();
}

}  // namespace

Result<Established> establish(const Cell& cell, tls::Role role, int fd,
                              const Surroundings& surroundings, KeyLog* keys) {
  KTLS_TRY(const std::shared_ptr<tls::Context> context,
           make_context(cell, role, surroundings, keys));
  KTLS_TRY(const std::unique_ptr<Handshake> handshake, Handshake::create(context, role, {}));
  KTLS_TRY(std::unique_ptr<Loop> loop, Loop::create(bridge::LoopKind::kEpoll));
  std::optional<Result<Handshake::Finished>> outcome;
  loop->spawn(shake_hands(*loop, fd, *handshake, outcome));
  if (auto run = loop->run(); !run) return ktls::fail(std::move(run).error());
  if (!*outcome) return ktls::fail(std::move(*outcome).error());
  return Established{std::move(loop), **std::move(outcome)};
}

}  // namespace conformance
