// Compute first, act last, as in bridge::Connection::adopt(), of which this is one direction.
#include "userspace/api/kernel_install.h"

#include <cerrno>
#include <utility>

#include <fcntl.h>

#include "ktls/core/socket.h"

namespace api {
namespace {

using ktls::Direction;
using ktls::Reason;
using ktls::Result;
using tls::ConnectionState;

// Else it would be told as the kernel's refusal, which it is not.
Result<void> check_descriptor(int fd) {
  if (::fcntl(fd, F_GETFD) >= 0) return {};
  return ktls::fail(ktls::Error::system(errno, "the descriptor"));
}

// What the kernel cannot have, or would not do as the layer does, whatever it is asked.
Reason objection_to(const ConnectionState& state, const Layer& layer, Direction direction) {
  if (state.version() < tls::ProtocolVersion::kTls12) return Reason::kVersionNotInKernel;
  if (!state.suite().bulk_cipher->kernel) return Reason::kCipherNotInKernel;
  // It fills its records (net/tls/tls_sw.c: TLS_MAX_PAYLOAD_SIZE), and a peer with less room in its
  // own would refuse them.
  if (direction == Direction::kTransmit && layer.send_limit() < tls::kPlaintextSizeMax) {
    return Reason::kRecordSizeLimited;
  }
  return Reason::kNone;
}

Reason offer(int fd, Direction direction, const ktls::CryptoInfo& info) {
  ktls::TlsSocket socket(fd);
  if (const auto attached = socket.attach(); !attached) {
    return ktls::reason_of_attach(attached.error().sys_errno);
  }
  const auto installed = socket.install(direction, info);
  return installed ? Reason::kNone : ktls::reason_of_install(installed.error().sys_errno);
}

}  // namespace

Result<Reason> install_into_kernel(int fd, Layer& layer, Direction direction) {
  if (auto checked = check_descriptor(fd); !checked) return ktls::fail(std::move(checked).error());
  const bool reads = direction == Direction::kReceive;
  tls::RecordLayer& records = layer.records();
  const auto& current = reads ? records.read_state() : records.write_state();
  if (current && !current->is_null()) {
    const Reason objection = objection_to(*current, layer, direction);
    if (objection != Reason::kNone) return objection;
  }
  KTLS_TRY(ConnectionState state, reads ? records.release_read() : records.release_write());
  const tls::ProtocolVersion version = state.version();
  const tls::CipherSuite& suite = state.suite();
  KTLS_TRY(ktls::RecordKeys keys, ConnectionState::into_record_keys(std::move(state)));
  KTLS_TRY(const ktls::CryptoInfo info, ktls::encode(keys));
  const Reason refusal = offer(fd, direction, info);
  if (refusal == Reason::kNone) return refusal;

  // There is still one holder of the keys, as the kernel took nothing.
  KTLS_TRY(ConnectionState again,
           ConnectionState::create(
               version, suite, {tls::WriteKey(keys.key.bytes()), tls::WriteIv(keys.iv.bytes()), {}},
               {.sequence = keys.sequence, .explicit_nonce = keys.explicit_nonce}));
  if (reads) {
    records.take_back_read(std::move(again));
  } else {
    records.take_back_write(std::move(again));
  }
  return refusal;
}

}  // namespace api
