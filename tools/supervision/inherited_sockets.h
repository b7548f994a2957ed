// InheritedSockets: listening sockets that somebody else has bound, as systemd and others do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"
#include "tools/common/address.h"

namespace tools {

class InheritedSockets {
 public:
  // What the variables of sd_listen_fds(3) say, each absent if it is not set.
  struct Variables {
    std::optional<std::string> pid;    // LISTEN_PID
    std::optional<std::string> count;  // LISTEN_FDS
    std::optional<std::string> names;  // LISTEN_FDNAMES
  };

  // Those that the environment tells of, whose variables are taken out of it. Called before there
  // is a second thread, or a program that could inherit them.
  [[nodiscard]] static InheritedSockets from_environment();
  // The same of `variables`, with `first` as the first descriptor.
  [[nodiscard]] static InheritedSockets from(const Variables& variables, int first);

  // "fd:3": what `address`, of these kinds, means by variables that are left where they are; its
  // own text where they tell of nothing like it. `first` as above.
  [[nodiscard]] static std::vector<std::string> meant_by(const Address& address);
  [[nodiscard]] static std::vector<std::string> meant_by(const Address& address,
                                                         const Variables& variables, int first);

  // Those that `address`, of kind kDescriptor or kPassed, means: each can be taken once. They are
  // made O_NONBLOCK. Errors: kUnsupported, naming the address, where there is none, or one that is
  // no socket of `type` that listens.
  [[nodiscard]] ktls::Result<std::vector<ktls::UniqueFd>> take(const Address& address,
                                                               int type = SOCK_STREAM);

  // "fd:4", or "fd:4 (https)" for one with a name: those that nobody has taken.
  [[nodiscard]] std::vector<std::string> left() const;

 private:
  struct Passed {
    ktls::UniqueFd fd;  // none once it is taken
    int number;
    std::string name;
  };

  // For a message: the address, and what is wrong.
  [[nodiscard]] ktls::Error refusal(const Address& address, const std::string& why) const;
  [[nodiscard]] ktls::Result<ktls::UniqueFd> take_number(const Address& address, int type);

  std::vector<Passed> passed_;
  std::string why_none_;  // why nothing was passed
};

}  // namespace tools
