// What the environment says of this process: which sockets are to be TLS, and where the broker is.
//
//   KTLS_BRIDGE_LISTEN    PORT[,PORT]: sockets that listen on these become TLS servers
//   KTLS_BRIDGE_CONNECT   PATTERN[,PATTERN]: connections to these become TLS clients
//   KTLS_BRIDGE_CHANNEL   number of the descriptor that is an open channel to the broker
//   KTLS_BRIDGE_BROKER    the broker's path, where there is no channel
//   (userspace/broker/protocol.h)
// A PATTERN is HOST:PORT, HOST or :PORT. HOST is a glob (`*`, `?`) over the names by which the
// program looked the address up, and over the address itself; an IPv6 address is in brackets.
// How much of it there may be: setting_limits.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace preload {

inline constexpr const char* kListenVariable = "KTLS_BRIDGE_LISTEN";
inline constexpr const char* kConnectVariable = "KTLS_BRIDGE_CONNECT";
inline constexpr const char* kChannelVariable = "KTLS_BRIDGE_CHANNEL";
inline constexpr const char* kPreloadVariable = "LD_PRELOAD";

// Reads the environment; says what does not parse, and then nothing is wrapped but refused: see
// is_broken(). Copies what it keeps.
void read_setting();
// The setting does not parse: whoever started the program wants TLS, and is to get nothing else.
[[nodiscard]] bool is_broken();

[[nodiscard]] bool wraps_any_port();
[[nodiscard]] bool wraps_port(std::uint16_t port);
[[nodiscard]] bool wraps_any_peer();

// Whether a pattern is about `port` of a host of this name, which may be an address.
//   kAnyHost  one that leaves the host open (`:443`, `*`), and none that names it
enum class PeerMatch : std::uint8_t { kNone, kAnyHost, kHost };
[[nodiscard]] PeerMatch match_peer(std::string_view name, std::uint16_t port);
// Whether a pattern names this host, at whatever port.
[[nodiscard]] bool is_host_of_pattern(std::string_view name);

// Whether `name` is what `glob` says, `*` for any number of characters and `?` for one; letters of
// either case are the same.
[[nodiscard]] bool matches(std::string_view glob, std::string_view name);

}  // namespace preload
