// One byte each way.

#include "tools/ktls-bridge/start_gate.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tools {
namespace {

ktls::UniqueFd& held_gate() {
  static ktls::UniqueFd gate;
  return gate;
}

Heartbeat& held_heartbeat() {
  static Heartbeat heartbeat;
  return heartbeat;
}

}  // namespace

void StartGate::stand_at(ktls::UniqueFd gate, Heartbeat heartbeat) {
  held_gate() = std::move(gate);
  held_heartbeat() = std::move(heartbeat);
}

bool StartGate::is_supervised() {
  return static_cast<bool>(held_gate());
}

bool StartGate::pass() {
  const int gate = held_gate().get();
  if (gate < 0) return true;
  char byte = 1;
  if (::send(gate, &byte, 1, MSG_NOSIGNAL) != 1) return false;
  ssize_t size = 0;
  do {
    size = ::recv(gate, &byte, 1, 0);
  } while (size < 0 && errno == EINTR);
  if (size != 1) return false;
  // PR_SET_PDEATHSIG would be forgotten when the process changes its user.
  if (::fcntl(gate, F_SETOWN, ::getpid()) != 0 || ::fcntl(gate, F_SETSIG, SIGTERM) != 0 ||
      ::fcntl(gate, F_SETFL, ::fcntl(gate, F_GETFL) | O_ASYNC | O_NONBLOCK) != 0) {
    return false;
  }
  // It may have ended before that was asked for.
  return ::recv(gate, &byte, 1, 0) < 0 && errno == EAGAIN;
}

std::optional<std::chrono::microseconds> StartGate::beat_interval() {
  const Heartbeat& heartbeat = held_heartbeat();
  if (!heartbeat.to) return std::nullopt;
  return heartbeat.interval;
}

// Where there is no room, enough are on their way.
void StartGate::beat() {
  const char byte = 1;
  const int to = held_heartbeat().to.get();
  if (to >= 0) static_cast<void>(!::send(to, &byte, 1, MSG_NOSIGNAL));
}

}  // namespace tools
