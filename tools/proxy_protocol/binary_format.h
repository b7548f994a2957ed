// The numbers of a binary header (sections 2.2 and 2.2.6), which its reader and its writer share.
#pragma once

#include <cstddef>
#include <cstdint>

namespace proxy_protocol {

// The byte behind the signature, version 2 in its upper half.
inline constexpr std::uint8_t kCommandLocal = 0x20;
inline constexpr std::uint8_t kCommandProxy = 0x21;

// The next one: the family in its upper half, the transport in the lower.
inline constexpr std::uint8_t kFamilyUnspecified = 0;
inline constexpr std::uint8_t kFamilyIpv4 = 1;
inline constexpr std::uint8_t kFamilyIpv6 = 2;
inline constexpr std::uint8_t kFamilyUnix = 3;
inline constexpr std::uint8_t kTransportStream = 1;
inline constexpr std::uint8_t kTransportMax = 2;

inline constexpr std::size_t kCommandAt = 12;
inline constexpr std::size_t kFamilyAt = 13;
inline constexpr std::size_t kLengthAt = 14;

inline constexpr std::size_t kIpv4Size = 4;
inline constexpr std::size_t kIpv6Size = 16;
inline constexpr std::size_t kUnixPathSize = 108;
inline constexpr std::size_t kPortSize = 2;

// One vector: its type, and the length of its value.
inline constexpr std::size_t kVectorPrefixSize = 3;
inline constexpr std::size_t kChecksumSize = 4;

enum class VectorType : std::uint8_t {
  kAlpn = 0x01,
  kAuthority = 0x02,
  kCrc32c = 0x03,
  kTls = 0x20,
  // Within kTls.
  kTlsVersion = 0x21,
  kTlsCommonName = 0x22,
  kTlsCipher = 0x23,
  kTlsSignatureAlgorithm = 0x24,
  kTlsKeyAlgorithm = 0x25,
};

// Bits of kTls' first byte.
inline constexpr std::uint8_t kClientTls = 0x01;
inline constexpr std::uint8_t kClientCertificateNow = 0x02;
inline constexpr std::uint8_t kClientCertificateInSession = 0x04;

}  // namespace proxy_protocol
