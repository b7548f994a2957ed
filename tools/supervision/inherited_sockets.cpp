// Descriptors 3 and up, and the variables that tell of them.

#include "tools/supervision/inherited_sockets.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "tools/supervision/inherited_descriptor.h"
#include "tools/supervision/variable.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

// SD_LISTEN_FDS_START.
constexpr int kFirst = 3;
// More than any unit has; a number beyond is a mistake.
constexpr int kCountMax = 4096;

// The part of `names` before the next colon, which is taken off.
std::string next_name(std::string_view& names) {
  const std::size_t end = std::min(names.find(':'), names.size());
  std::string name(names.substr(0, end));
  names.remove_prefix(std::min(end + 1, names.size()));
  return name;
}

// What is wrong with it as a socket to accept from; empty: nothing.
std::string fault_of(int fd, int type) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) != 0) return "is not a socket";
  if (value != type) {
    return type == SOCK_SEQPACKET ? "is not a socket of type SOCK_SEQPACKET "
                                    "(ListenSequentialPacket= in a socket unit)"
                                  : "is not a stream socket (ListenStream= in a socket unit)";
  }
  size = sizeof value;
  ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size);
  if (value == 0) return "does not listen (a socket unit with Accept=yes is for wrap --fd)";
  size = sizeof value;
  ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size);
  if (value != AF_INET && value != AF_INET6 && value != AF_UNIX) {
    return "is of a family that is not served";
  }
  return "";
}

std::string number_text(int number, const std::string& name) {
  const std::string text = "fd:" + std::to_string(number);
  return name.empty() ? text : text + " (" + name + ")";
}

}  // namespace

InheritedSockets InheritedSockets::from_environment() {
  const Variables variables{.pid = take_variable("LISTEN_PID"),
                            .count = take_variable("LISTEN_FDS"),
                            .names = take_variable("LISTEN_FDNAMES")};
  static_cast<void>(take_variable("LISTEN_PIDFDID"));  // goes with LISTEN_PID
  return from(variables, kFirst);
}

std::vector<std::string> InheritedSockets::meant_by(const Address& address) {
  const Variables variables{
      .pid = {}, .count = variable("LISTEN_FDS"), .names = variable("LISTEN_FDNAMES")};
  return meant_by(address, variables, kFirst);
}

std::vector<std::string> InheritedSockets::meant_by(const Address& address,
                                                    const Variables& variables, int first) {
  if (address.kind == Address::Kind::kDescriptor) return {address.text()};
  const int count = std::min(number_of<int>(variables.count.value_or("")).value_or(0), kCountMax);
  const std::string all_names = variables.names.value_or("");
  std::string_view names = all_names;
  std::vector<std::string> meant;
  for (int number = first; number < first + count; ++number) {
    const std::string name = next_name(names);
    if (address.path.empty() || name == address.path) meant.push_back(number_text(number, ""));
  }
  return meant.empty() ? std::vector<std::string>{address.text()} : meant;
}

InheritedSockets InheritedSockets::from(const Variables& variables, int first) {
  InheritedSockets sockets;
  if (!variables.count) {
    sockets.why_none_ =
        "no sockets were passed (LISTEN_FDS is not set): a socket unit of systemd passes them, and "
        "systemd-socket-activate does";
    return sockets;
  }
  const std::string pid = variables.pid.value_or("");
  if (number_of<pid_t>(pid) != ::getpid()) {
    sockets.why_none_ = "the sockets that were passed are for another process: LISTEN_PID is '" +
                        pid + "', and this is " + std::to_string(::getpid());
    return sockets;
  }
  const auto count = number_of<int>(*variables.count);
  if (!count || *count < 1 || *count > kCountMax) {
    sockets.why_none_ = "no sockets were passed: LISTEN_FDS is '" + *variables.count + "'";
    return sockets;
  }
  const std::string all_names = variables.names.value_or("");
  std::string_view names = all_names;
  for (int number = first; number < first + *count; ++number) {
    std::string name = next_name(names);
    if (!claim_inherited(number)) continue;  // what is not there is missed by whoever asks for it
    sockets.passed_.push_back({UniqueFd(number), number, std::move(name)});
  }
  return sockets;
}

Error InheritedSockets::refusal(const Address& address, const std::string& why) const {
  return Error::of(ErrorCode::kUnsupported, address.text() + ": " + why);
}

Result<UniqueFd> InheritedSockets::take_number(const Address& address, int type) {
  Passed other{UniqueFd(), address.descriptor, ""};
  Passed* found = &other;
  for (Passed& each : passed_) {
    if (each.number == address.descriptor) found = &each;
  }
  if (found == &other) {
    if (const auto claimed = claim_inherited(address.descriptor); !claimed) {
      return ktls::fail(refusal(address, claimed.error().message()));
    }
    other.fd.reset(address.descriptor);
  }
  if (!found->fd) return ktls::fail(refusal(address, "two flags name this descriptor"));
  UniqueFd taken = std::move(found->fd);
  if (const std::string fault = fault_of(taken.get(), type); !fault.empty()) {
    return ktls::fail(refusal(address, number_text(found->number, found->name) + " " + fault));
  }
  const int flags = ::fcntl(taken.get(), F_GETFL);
  ::fcntl(taken.get(), F_SETFL, flags | O_NONBLOCK);
  return taken;
}

Result<std::vector<UniqueFd>> InheritedSockets::take(const Address& address, int type) {
  std::vector<UniqueFd> taken;
  if (address.kind == Address::Kind::kDescriptor) {
    KTLS_TRY(UniqueFd socket, take_number(address, type));
    taken.push_back(std::move(socket));
    return taken;
  }
  if (!why_none_.empty()) return ktls::fail(refusal(address, why_none_));
  std::string others;
  for (std::size_t i = 0; i < passed_.size(); ++i) {
    const Passed& each = passed_[i];
    if (!address.path.empty() && each.name != address.path) {
      others += (others.empty() ? "" : ", ") + number_text(each.number, each.name);
      continue;
    }
    Address one = address;
    one.descriptor = each.number;
    KTLS_TRY(UniqueFd socket, take_number(one, type));
    taken.push_back(std::move(socket));
  }
  if (taken.empty()) {
    return ktls::fail(refusal(address, "no socket of this name was passed, but " + others));
  }
  return taken;
}

std::vector<std::string> InheritedSockets::left() const {
  std::vector<std::string> texts;
  for (const Passed& each : passed_) {
    if (each.fd) texts.push_back(number_text(each.number, each.name));
  }
  return texts;
}

}  // namespace tools
