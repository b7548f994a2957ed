// Reading binary headers.

#include <algorithm>
#include <cstring>
#include <string_view>

#include <netinet/in.h>
#include <sys/un.h>

#include "tools/proxy_protocol/binary_format.h"
#include "tools/proxy_protocol/binary_header.h"
#include "tools/proxy_protocol/crc32c.h"

namespace proxy_protocol {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using tools::SocketAddress;
using Bytes = std::span<const std::uint8_t>;

tl::unexpected<Error> malformed(std::string_view why) {
  return ktls::fail(
      Error::of(ErrorCode::kDecodeError, "malformed PROXY header: " + std::string(why)));
}

std::size_t two_bytes(Bytes bytes) {
  return static_cast<std::size_t>(bytes[0]) << 8 | bytes[1];
}

std::uint32_t four_bytes(Bytes bytes) {
  return static_cast<std::uint32_t>(two_bytes(bytes) << 16 | two_bytes(bytes.subspan(2)));
}

// Of both addresses with their ports.
constexpr std::array<std::size_t, 4> kAddressesSize = {
    0, 2 * (kIpv4Size + kPortSize), 2 * (kIpv6Size + kPortSize), 2 * kUnixPathSize};

SocketAddress ipv4_address(Bytes host, Bytes port) {
  SocketAddress address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  v4.sin_family = AF_INET;
  std::memcpy(&v4.sin_addr, host.data(), kIpv4Size);
  std::memcpy(&v4.sin_port, port.data(), kPortSize);
  address.size = sizeof v4;
  return address;
}

SocketAddress ipv6_address(Bytes host, Bytes port) {
  SocketAddress address;
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  v6.sin6_family = AF_INET6;
  std::memcpy(&v6.sin6_addr, host.data(), kIpv6Size);
  std::memcpy(&v6.sin6_port, port.data(), kPortSize);
  address.size = sizeof v6;
  return address;
}

// A path need not end with a zero byte; one that begins with it is abstract.
SocketAddress unix_address(Bytes path) {
  SocketAddress address;
  auto& sun = reinterpret_cast<sockaddr_un&>(address.storage);
  static_assert(sizeof sun.sun_path == kUnixPathSize);
  static_assert(sizeof address.storage > sizeof sun, "there is a zero byte behind it");
  sun.sun_family = AF_UNIX;
  std::memcpy(sun.sun_path, path.data(), path.size());
  const auto last = std::find_if(path.rbegin(), path.rend(), [](auto byte) { return byte != 0; });
  const auto used = static_cast<std::size_t>(path.rend() - last);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + used);
  return address;
}

Endpoints endpoints_of(std::uint8_t family, Bytes addresses) {
  const auto in = [addresses](std::size_t at, std::size_t size) {
    return addresses.subspan(at, size);
  };
  if (family == kFamilyUnix) {
    return {.source = unix_address(in(0, kUnixPathSize)),
            .destination = unix_address(in(kUnixPathSize, kUnixPathSize))};
  }
  const bool is_v4 = family == kFamilyIpv4;
  const std::size_t host = is_v4 ? kIpv4Size : kIpv6Size;
  const auto make = is_v4 ? &ipv4_address : &ipv6_address;
  return {.source = make(in(0, host), in(2 * host, kPortSize)),
          .destination = make(in(host, host), in(2 * host + kPortSize, kPortSize))};
}

// What the vectors from `at` on say of the whole header.
enum class Vectors : std::uint8_t { kGood, kMalformed, kWrongChecksum };

Vectors check_vectors(Bytes header, std::size_t at) {
  while (at != header.size()) {
    if (header.size() - at < kVectorPrefixSize) return Vectors::kMalformed;
    const std::size_t size = two_bytes(header.subspan(at + 1));
    const std::size_t value = at + kVectorPrefixSize;
    if (header.size() - value < size) return Vectors::kMalformed;
    if (header[at] == static_cast<std::uint8_t>(VectorType::kCrc32c)) {
      if (size != kChecksumSize) return Vectors::kMalformed;
      std::vector<std::uint8_t> without(header.begin(), header.end());
      std::fill_n(without.begin() + static_cast<std::ptrdiff_t>(value), kChecksumSize, 0);
      if (crc32c(without) != four_bytes(header.subspan(value))) return Vectors::kWrongChecksum;
    }
    at = value + size;
  }
  return Vectors::kGood;
}

}  // namespace

Result<std::size_t> binary_bytes_left(Bytes bytes) {
  const std::size_t known = std::min(bytes.size(), kSignature.size());
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(known),
                  kSignature.begin())) {
    return malformed("there is no signature");
  }
  if (bytes.size() > kCommandAt && bytes[kCommandAt] != kCommandLocal &&
      bytes[kCommandAt] != kCommandProxy) {
    return malformed("neither LOCAL nor PROXY of version 2");
  }
  if (bytes.size() < kBinaryPrefixSize) return kBinaryPrefixSize - bytes.size();
  const std::size_t size = kBinaryPrefixSize + two_bytes(bytes.subspan(kLengthAt));
  if (size > kBinaryHeaderMax) {
    return ktls::fail(Error::of(ErrorCode::kLimitReached,
                                "a PROXY header of " + std::to_string(size) +
                                    " bytes: " + std::to_string(kBinaryHeaderMax) + " are taken"));
  }
  if (bytes.size() > size) return malformed("more than its length says");
  return size - bytes.size();
}

Result<std::optional<Endpoints>> decode_binary_header(Bytes header) {
  const auto family = static_cast<std::uint8_t>(header[kFamilyAt] >> 4);
  const auto transport = static_cast<std::uint8_t>(header[kFamilyAt] & 0x0f);
  const bool is_relayed = header[kCommandAt] == kCommandProxy;
  const bool is_known = family <= kFamilyUnix && transport <= kTransportMax;
  if (is_relayed && !is_known) return malformed("a family or transport that there is not");
  const std::size_t addresses = is_known ? kAddressesSize[family] : 0;
  const Bytes block = header.subspan(kBinaryPrefixSize);
  const bool is_whole = block.size() >= addresses;
  if (is_relayed && !is_whole) return malformed("it ends within the addresses");

  // What a LOCAL header holds is to be discarded, also where it makes no sense.
  const Vectors vectors =
      is_whole ? check_vectors(header, kBinaryPrefixSize + addresses) : Vectors::kMalformed;
  if (vectors == Vectors::kWrongChecksum) return malformed("its checksum is not that of its bytes");
  if (is_relayed && vectors == Vectors::kMalformed) return malformed("a vector has a wrong length");

  const bool has_stream = family != kFamilyUnspecified && transport == kTransportStream;
  if (!is_relayed || !has_stream) return std::optional<Endpoints>();
  return endpoints_of(family, block.first(addresses));
}

}  // namespace proxy_protocol
