// The broker's wire protocol: what programs ask of it, and what it answers.
//
// A client connects a SOCK_SEQPACKET socket to the broker's path, and may share it among threads
// and children, for nothing is ever answered on it: each request is one datagram that brings the
// socket on which its answers are wanted (SCM_RIGHTS). All numbers are in the byte order of the
// machine. README.md of this folder tells the protocol as a whole.
//
// This header needs nothing but libc, for the client library is to need nothing else.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace broker {

inline constexpr std::uint32_t kMagic = 0x42'4c'54'4b;  // "KTLB" in memory
inline constexpr std::uint16_t kProtocolVersion = 1;

// Where a broker listens and a client looks for it, unless told otherwise.
inline constexpr const char* kDefaultPath = "/run/ktls-bridge/broker.sock";
// The variable of the environment that says where else a client is to look.
inline constexpr const char* kPathVariable = "KTLS_BRIDGE_BROKER";

enum class Kind : std::uint16_t {
  // Requests. Each brings two descriptors: the socket for the answers, and what it is about.
  kListen = 1,  // a listening socket: its connections are wanted, each after its handshake
  kServe = 2,   // a connected socket: be the server of a handshake
  kConnect =
      3,       // a socket that is connected, or being connected: be the client; the payload is the
               // name to verify
  kClose = 4,  // a TLS socket that was handed out: send close_notify when there is room, and FIN;
               // or a relayed stream: this is all
  kControl = 5,  // a TLS socket that was handed out: the payload is the content of a control record
  kEnd = 6,      // a relayed stream that has ended: was that an orderly end?
  // A TLS socket that was handed out, or a relayed stream: this process closes its last descriptor,
  // in order; others may have some. The end of the socket for answers says that it has. No answer.
  // Or a listening socket: its channel and its copies; shutdown of that end for writing says so,
  // and
  // kDone that the port is free if nobody else has them.
  kRelease = 7,
  // From the client on the socket that came with kListen, without a payload.
  kTaken = 16,  // connection `number` was taken: there is room for another one
  kStop = 17,   // no more: the broker answers kDone when its listening socket is closed
  // Answers.
  kDone = 32,        // nothing more to say
  kConnection = 33,  // a connection, with its descriptor where that is not the client's own
  kError = 34,       // it did not work: `error`, `reason` and `text` say why
};

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kProtocolVersion;
  Kind kind{};
};

// What a payload may have at most: the content of one record (RFC 8446 section 5.1).
inline constexpr std::size_t kPayloadMax = 16384;

// Of the name that kConnect verifies: DNS has no longer ones.
inline constexpr std::size_t kNameMax = 253;

//   backlog       kListen: connections that may wait to be taken
//   record_type   kControl: ContentType of the record
//   payload_size  bytes of payload, which follow
//   number        kTaken: as Answer::number; kRelease: kMayTravel or 0
struct Request {
  Header header;
  std::uint32_t backlog = 0;
  std::uint16_t record_type = 0;
  std::uint16_t payload_size = 0;
  std::uint64_t number = 0;
};

// Request::number of kRelease: a descriptor of it was passed on (SCM_RIGHTS) and may be on its way,
// where no process has it.
inline constexpr std::uint64_t kMayTravel = 1;

// Answer::flags.
inline constexpr std::uint32_t kIsRelayed = 1;  // the descriptor is a stream that is relayed
inline constexpr std::uint32_t kIsResumed = 2;  // the handshake resumed a session
// With kError: the TCP connection came to nothing, with `error`, and TLS has no part in it.
inline constexpr std::uint32_t kNotConnected = 4;

// Strings end with a zero byte, and are cut off where there is no room for all.
//   error          kError: an errno
//   flags          kConnection, kError: see above
//   number         kConnection of a listener: for kTaken, counted from 1
//   tls_version    kConnection: ProtocolVersion as on the wire, 0x0304 for TLS 1.3
//   cipher_suite   kConnection: IANA number
//   alpn_size      kConnection: bytes of `alpn` that the handshake agreed on; 0: on none
//   reason         code of a Reason: why a connection is relayed, or why it failed; or empty
//   name           kConnection: what a client asked for (SNI), or what was verified of a server
//   text           kError: one sentence
//   local, remote  kConnection: addresses of the TLS connection; sin6_family AF_INET6 or AF_INET
//                  (then it is a sockaddr_in), AF_UNSPEC for any other
struct Answer {
  Header header;
  std::uint32_t error = 0;
  std::uint32_t flags = 0;
  std::uint64_t number = 0;
  std::uint16_t tls_version = 0;
  std::uint16_t cipher_suite = 0;
  std::uint16_t alpn_size = 0;
  std::uint16_t unused = 0;
  char reason[32] = {};
  char name[256] = {};
  char alpn[256] = {};
  char text[256] = {};
  sockaddr_in6 local{};
  sockaddr_in6 remote{};
};

// What names of abstract sockets begin with that tell what a unix socket stands for, so that every
// process that gets one knows it, whoever it has it from (getsockname(2)).
using NamePrefix = std::array<char, 20>;
constexpr NamePrefix name_prefix(std::string_view text) {
  NamePrefix prefix{};
  std::copy_n(text.data(), prefix.size(), prefix.begin());
  return prefix;
}
// Keeps anybody from having the name first: nobody can guess it.
using NameSecret = std::array<std::uint8_t, 8>;

// The program's end of a relayed stream; addresses as Answer has them.
struct StreamName {
  static constexpr NamePrefix kPrefix =
      name_prefix(std::string_view("\0ktls-bridge/stream/", sizeof(NamePrefix)));
  NamePrefix prefix = kPrefix;
  NameSecret secret{};
  sockaddr_in6 local{};
  sockaddr_in6 remote{};
};

// A program's end of the socket that came with kListen. The broker gives it no name: a program that
// wants one there binds it.
//   cookie  SO_COOKIE of the listening socket
struct ListenName {
  static constexpr NamePrefix kPrefix =
      name_prefix(std::string_view("\0ktls-bridge/listen/", sizeof(NamePrefix)));
  NamePrefix prefix = kPrefix;
  NameSecret secret{};
  std::array<std::uint8_t, 8> cookie{};
  sockaddr_in6 local{};
};

// The address that a socket with that name has, and its size.
template <class Name>
[[nodiscard]] socklen_t address_of_name(const Name& name, sockaddr_un& address) {
  static_assert(sizeof name <= sizeof address.sun_path);
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, &name, sizeof name);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + sizeof name);
}

// The name that stands in an address of that size. False: it is no such name.
template <class Name>
[[nodiscard]] bool name_of_address(const sockaddr_un& address, socklen_t size, Name& name) {
  if (size != offsetof(sockaddr_un, sun_path) + sizeof name || address.sun_family != AF_UNIX) {
    return false;
  }
  std::memcpy(&name, address.sun_path, sizeof name);
  return name.prefix == Name::kPrefix;
}

// The layouts are an interface: they change with kProtocolVersion alone.
static_assert(std::is_trivially_copyable_v<StreamName> && sizeof(StreamName) == 84);
static_assert(std::is_trivially_copyable_v<ListenName> && sizeof(ListenName) == 64);
static_assert(std::is_trivially_copyable_v<Request> && sizeof(Request) == 24);
static_assert(std::is_trivially_copyable_v<Answer> && sizeof(Answer) == 888);
static_assert(offsetof(Answer, reason) == 32 && offsetof(Answer, local) == 832);

inline constexpr std::size_t kRequestMax = sizeof(Request) + kPayloadMax;

// A message that is one, and as long as it says. Its version and its kind are for the reader.
[[nodiscard]] inline bool is_whole(const Request& request, std::size_t size) {
  return size >= sizeof request && request.header.magic == kMagic &&
         size == sizeof request + request.payload_size && request.payload_size <= kPayloadMax;
}

}  // namespace broker
