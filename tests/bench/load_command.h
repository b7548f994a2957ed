// What load clients have in common: numbers on the command line, clocks, TLS settings, and how they
// keep time with who measures.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <openssl/ssl.h>

#include "userspace/handshake/openssl/pointers.h"

namespace bench {

// TLS 1.3 with AES-128-GCM, for every server alike.
inline tls::SslCtxPtr make_context() {
  tls::SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256");
  return context;
}

inline std::int64_t clock_ns(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

template <class Number>
Number number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw std::runtime_error("not a number above 0: " + std::string(text));
  }
  return value;
}

// Says "ready" and waits for a line. False: nobody wants it any more.
inline bool await_go() {
  std::puts("ready");
  std::fflush(stdout);
  return std::getchar() != EOF;
}

// After the figures, until the server's share has been read: what the end costs is not to be in it.
inline void await_done() {
  std::fflush(stdout);
  static_cast<void>(std::getchar());
}

}  // namespace bench
