// record_size_limit in libssl's custom extensions: what is offered, answered and kept.
#include "userspace/handshake/openssl/record_size_limit.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "ktls/base/endian.h"
#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/record/record_header.h"

namespace tls {
namespace {

using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr unsigned kExtensionType = 28;  // RFC 8449 section 6
constexpr unsigned kMessages =
    SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_ENCRYPTED_EXTENSIONS;
// RFC 8449 section 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller
// than 64."
constexpr std::uint16_t kLimitMin = 64;
// The smallest bound that SSL_set_max_send_fragment(3) takes.
constexpr std::size_t kLibsslFragmentMin = 512;

// RFC 8449 section 4: "For TLS 1.2 and earlier, that limit is 2^14 octets. TLS 1.3 uses a limit of
// 2^14+1 octets."
constexpr std::array<unsigned char, 2> kOurLimit12 = {0x40, 0x00};
constexpr std::array<unsigned char, 2> kOurLimit13 = {0x40, 0x01};

bool is_tls13(const SslConnection& connection) {
  return SSL_version(connection.ssl()) == TLS1_3_VERSION;
}

// RFC 8449 section 4: "The value includes the content type and padding added in TLS 1.3".
std::size_t content_size_of(std::uint16_t limit, bool is_13) {
  return is_13 ? limit - std::size_t{1} : limit;
}

// RFC 6066 section 4: enum { 2^9(1), 2^10(2), 2^11(3), 2^12(4), (255) } MaxFragmentLength. A
// resumed session keeps its value.
std::size_t max_fragment_length(const SslConnection& connection) {
  const unsigned code = SSL_SESSION_get_max_fragment_length(SSL_get_session(connection.ssl()));
  if (code == TLSEXT_max_fragment_length_DISABLED) return kPlaintextSizeMax;
  return std::size_t{1} << (8 + code);
}

// To answer is to promise. In TLS 1.3 libssl protects its certificate in records of up to 512
// bytes, so it would break a smaller limit's promise. And it answers max_fragment_length whatever
// we do, while "a client MUST treat receipt of both" as fatal (RFC 8449 section 5). A server that
// does not answer is one without the extension, which a client must be ready to meet.
bool can_answer(const SslConnection& connection) {
  if (max_fragment_length(connection) != kPlaintextSizeMax) return false;
  const auto limit = connection.peer_record_size_limit();
  return !is_tls13(connection) || (limit && content_size_of(*limit, true) >= kLibsslFragmentMin);
}

int add_limit(SSL* ssl, unsigned /*type*/, unsigned message, const unsigned char** bytes,
              std::size_t* size, X509* /*certificate*/, std::size_t /*chain_index*/, int* /*alert*/,
              void* /*argument*/) noexcept {
  const SslConnection* const connection = SslConnection::of(ssl);
  if (connection == nullptr) return 0;
  // A client does not know the version yet. RFC 8449 section 4: "A server MUST NOT enforce this
  // restriction; a client might advertise a higher limit" than the version that is agreed on knows.
  const bool offers = (message & SSL_EXT_CLIENT_HELLO) != 0;
  if (!offers && !can_answer(*connection)) return 0;
  const bool is_13 =
      offers ? SSL_get_max_proto_version(ssl) == TLS1_3_VERSION : is_tls13(*connection);
  const auto& limit = is_13 ? kOurLimit13 : kOurLimit12;
  *bytes = limit.data();
  *size = limit.size();
  return 1;
}

int take_limit(SSL* ssl, unsigned /*type*/, unsigned /*message*/, const unsigned char* bytes,
               std::size_t size, X509* /*certificate*/, std::size_t /*chain_index*/, int* alert,
               void* /*argument*/) noexcept {
  SslConnection* const connection = SslConnection::of(ssl);
  if (connection == nullptr) return 1;
  if (size != sizeof(std::uint16_t)) {
    *alert = SSL_AD_DECODE_ERROR;
    return 0;
  }
  const auto limit = ktls::load_big_endian<std::uint16_t>(bytes);
  // RFC 8449 section 4: "An endpoint MUST treat receipt of a smaller value as a fatal error and
  // generate an "illegal_parameter" alert." Larger ones than any version knows are let pass.
  if (limit < kLimitMin) {
    *alert = SSL_AD_ILLEGAL_PARAMETER;
    return 0;
  }
  connection->set_peer_record_size_limit(limit);
  // RFC 8449 section 4: "Unprotected messages are not subject to this limit." In TLS 1.2 that is
  // all but Finished, which is smaller than any limit.
  if (!is_tls13(*connection)) return 1;
  const std::size_t bound =
      std::clamp(content_size_of(limit, true), kLibsslFragmentMin, kPlaintextSizeMax);
  if (SSL_set_max_send_fragment(ssl, static_cast<long>(bound)) != 1) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return 0;
  }
  return 1;
}

}  // namespace

Result<void> add_record_size_limit(SSL_CTX* context) {
  if (SSL_CTX_add_custom_ext(context, kExtensionType, kMessages, add_limit, nullptr, nullptr,
                             take_limit, nullptr) != 1) {
    return fail(openssl_error(ErrorCode::kCrypto, "SSL_CTX_add_custom_ext"));
  }
  return {};
}

// A limit that went unanswered is kept as well: no peer has to be promised what it is to be given.
std::size_t fragment_size_max(const SslConnection& connection) {
  const std::size_t size = max_fragment_length(connection);
  const auto limit = connection.peer_record_size_limit();
  return limit ? std::min(size, content_size_of(*limit, is_tls13(connection))) : size;
}

}  // namespace tls
