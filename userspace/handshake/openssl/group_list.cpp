// Each name of a list of groups, tried on libssl by itself.
#include "userspace/handshake/openssl/group_list.h"

#include <algorithm>

#include <openssl/err.h>

#include "userspace/handshake/openssl/error_queue.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

constexpr std::string_view kSeparators = ":, ";

bool takes(SSL_CTX* context, std::string names) {
  // SSL_CTX_set1_groups_list(), whose macro casts as C does.
  const bool taken = SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, names.data()) == 1;
  ERR_clear_error();
  return taken;
}

}  // namespace

Result<std::string> parse_group_list(std::string_view list) {
  const SslCtxPtr trial(SSL_CTX_new(TLS_method()));
  if (!trial) return fail(openssl_error(ErrorCode::kCrypto, "SSL_CTX_new"));
  std::string names;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find_first_of(kSeparators, begin), list.size());
    const std::string name(list.substr(begin, end - begin));
    begin = end + 1;
    if (name.empty()) continue;
    if (!takes(trial.get(), name)) {
      return fail(Error::of(ErrorCode::kInvalidArgument,
                            name + ": this libssl has no such group; it has X25519, X448, P-256, "
                                   "P-384, P-521 and ffdhe2048 to ffdhe8192"));
    }
    const std::string longer = names.empty() ? name : names + ':' + name;
    // A group has several names, P-256 and secp256r1 for one, and libssl takes none twice.
    if (takes(trial.get(), longer)) names = longer;
  }
  if (names.empty()) return fail(Error::of(ErrorCode::kInvalidArgument, "it names no group"));
  return names;
}

}  // namespace tls
