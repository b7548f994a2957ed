// The kernel's TLS interface as this floor uses it. Private to ktls/, its tests, and the client
// library of userspace/broker, which links nothing: everybody else sees ktls::Cipher, ktls::Version
// and encoded structures.
#pragma once

#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

// include/linux/socket.h; musl and older C libraries do not repeat it.
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

// The header may be that of an older Linux than the one that runs: what came after its first
// version (4.13) is said here again. The preprocessor refuses a number that differs.
#define TLS_RX 2
#define TLS_TX_ZEROCOPY_RO 3
#define TLS_RX_EXPECT_NO_PAD 4
#define TLS_TX_MAX_PAYLOAD_LEN 5
#define TLS_GET_RECORD_TYPE 2

namespace ktls {

// Name of the upper-layer protocol, as a C string (net/tls/tls_main.c, tcp_tls_ulp_ops).
inline constexpr char kUlpName[] = "tls";
// TCP_ULP_NAME_MAX of include/net/tcp.h, which has no uapi twin.
inline constexpr socklen_t kUlpNameMax = 16;
// TLS_RECORD_TYPE_DATA of include/net/tls_prot.h (kernel-internal): RFC 8446 section 5.1.
inline constexpr unsigned char kApplicationData = 23;

}  // namespace ktls
