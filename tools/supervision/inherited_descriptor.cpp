// FD_CLOEXEC, as a question and as an answer.

#include "tools/supervision/inherited_descriptor.h"

#include <cerrno>
#include <string>

#include <fcntl.h>

namespace tools {

using ktls::Error;
using ktls::ErrorCode;

ktls::Result<void> claim_inherited(int fd) {
  const std::string name = "descriptor " + std::to_string(fd);
  const int flags = ::fcntl(fd, F_GETFD);
  if (flags < 0) return ktls::fail(Error::system(errno, name));
  if ((flags & FD_CLOEXEC) != 0) {
    return ktls::fail(Error::of(ErrorCode::kUnsupported, name + " was not inherited"));
  }
  if (::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) != 0) {
    return ktls::fail(Error::system(errno, name));
  }
  return {};
}

}  // namespace tools
