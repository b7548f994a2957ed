// The words spoken with JavaPeer.java.

#include "tests/conformance/java_peer.h"

#include <array>
#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "tests/conformance/sockets.h"

namespace conformance {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

// "client TLSv1.3 TLS_AES_128_GCM_SHA256 SEND RECEIVE", from where it stands.
std::string order_of(const Cell& cell) {
  return std::string(cell.role == tls::Role::kServer ? "client " : "server ") +
         std::string(tls::name_of(cell.version)) + " " + std::string(cell.suite->name) + " " +
         std::to_string(cell.receive_size()) + " " + std::to_string(cell.send_size()) + "\n";
}

}  // namespace

Result<JavaPeer> JavaPeer::start(const Cell& cell, std::uint16_t port) {
  KTLS_TRY(ktls::UniqueFd control, connect_loopback(port));
  const std::string order = order_of(cell);
  if (::send(control.get(), order.data(), order.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(order.size())) {
    return ktls::fail(Error::system(errno, "send to the Java peer"));
  }
  KTLS_TRY(ktls::UniqueFd wire, connect_loopback(port));
  return JavaPeer(std::move(control), std::move(wire));
}

Result<void> JavaPeer::verdict() {
  std::string text;
  std::array<char, 1024> piece{};
  for (;;) {
    const ssize_t size = ::recv(control_.get(), piece.data(), piece.size(), 0);
    if (size <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  if (text == "ok\n") return {};
  if (text.empty()) return ktls::fail(Error::of(ErrorCode::kEndOfStream, "it said nothing"));
  text.pop_back();
  return ktls::fail(Error::of(ErrorCode::kHandshakeFailed, text));
}

void JavaPeer::cut() {
  ::shutdown(control_.get(), SHUT_RDWR);
}

}  // namespace conformance
