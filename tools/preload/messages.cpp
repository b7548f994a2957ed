#include "tools/preload/messages.h"

#include <cerrno>
#include <cstring>

#include "tools/preload/connecting.h"
#include "tools/preload/identity.h"
#include "tools/preload/wrapped.h"

namespace preload {
namespace {

// Calls `visit(fd)` for each descriptor in a message, until one answers an errno.
template <class Visit>
int for_each_right(const msghdr& message, Visit visit) {
  auto& any = const_cast<msghdr&>(message);
  for (cmsghdr* header = CMSG_FIRSTHDR(&any); header != nullptr;
       header = CMSG_NXTHDR(&any, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    if (header->cmsg_len < CMSG_LEN(0)) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      if (const int error = visit(fd); error != 0) return error;
    }
  }
  return 0;
}

}  // namespace

void recognise_arrived(msghdr& message) {
  if (message.msg_controllen == 0) return;
  const ErrnoKept kept;
  for_each_right(message, [](int fd) {
    recognise(fd);
    return 0;
  });
}

int share_departing(const msghdr& message) {
  if (message.msg_control == nullptr || message.msg_controllen == 0) return 0;
  const ErrnoKept kept;
  return for_each_right(message, [](int fd) {
    Wrapped* const wrapped = find(fd);
    if (wrapped == nullptr) return 0;
    if (kind_of(*wrapped) == Kind::kInternal) return EBADF;
    if (kind_of(*wrapped) == Kind::kPending && !settle(*wrapped)) return EAGAIN;
    wrapped->is_shared.store(true);
    wrapped->may_travel.store(true);
    return 0;
  });
}

}  // namespace preload
