// Reading exactly what is wanted, writing all of what was sealed.
#include "userspace/api/record_socket.h"

#include <cerrno>
#include <utility>
#include <variant>

#include <sys/socket.h>
#include <unistd.h>

namespace api {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;

bool would_block(ssize_t result) {
  return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

// A peer that is gone is an error, no signal; pipes have no such flag.
ssize_t write_quietly(int fd, Bytes bytes) {
  const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (size >= 0 || errno != ENOTSOCK) return size;
  return ::write(fd, bytes.data(), bytes.size());
}

}  // namespace

Result<bool> RecordSocket::send(tls::ContentType type, Bytes content) {
  if (!unsent_.empty()) {
    return ktls::fail(Error::of(ErrorCode::kProtocolViolation, "what was sent before is not out"));
  }
  unsent_.resize(layer_.records().sealed_size(content.size()));
  const auto sealed = layer_.records().seal(type, content, unsent_);
  unsent_.resize(sealed ? *sealed : 0);
  if (!sealed) return ktls::fail(sealed.error());
  return flush();
}

Result<bool> RecordSocket::flush() {
  while (sent_ < unsent_.size()) {
    const ssize_t size = write_quietly(fd_, std::span(unsent_).subspan(sent_));
    if (size >= 0) {
      sent_ += static_cast<std::size_t>(size);
    } else if (would_block(size)) {
      return false;
    } else if (errno != EINTR) {
      return ktls::fail(Error::system(errno, "write"));
    }
  }
  unsent_.clear();
  sent_ = 0;
  return true;
}

Result<tls::NextRecord> RecordSocket::receive() {
  for (;;) {
    auto next = layer_.next();
    const auto* need = next ? std::get_if<tls::NeedBytes>(&*next) : nullptr;
    if (need == nullptr) return next;
    received_.resize(need->count);
    const ssize_t size = ::read(fd_, received_.data(), received_.size());
    if (size > 0) {
      layer_.feed(std::span(received_).first(static_cast<std::size_t>(size)));
    } else if (size == 0) {
      layer_.feed_end();
    } else if (would_block(size)) {
      return next;
    } else if (errno != EINTR) {
      return ktls::fail(Error::system(errno, "read"));
    }
  }
}

}  // namespace api
