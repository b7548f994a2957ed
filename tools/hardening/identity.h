// Identity: the user and the group that a service goes on as, once it has what only root gets.
#pragma once

#include <string>

#include <sys/types.h>

#include "ktls/base/result.h"

namespace tools {

struct Identity {
  uid_t user;
  gid_t group;
};

// `user` and `group` are names or numbers; without `group` it is the one that the user has in the
// user database. Error: kInvalidArgument naming the flag.
[[nodiscard]] ktls::Result<Identity> find_identity(const std::string& user,
                                                   const std::string& group);

// Real, effective and saved, of all threads, and without any supplementary groups: there is no way
// back, which is tried. The capabilities of root go with it. Error: kSystem, or kProtocolViolation
// where there is a way back.
[[nodiscard]] ktls::Result<void> become(const Identity& identity);

}  // namespace tools
