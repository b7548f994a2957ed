// Each function that writes.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

using Write = std::function<ssize_t(int fd, char* data, size_t size)>;
enum class On { kAnything, kSockets };

std::string result(const Write& write, int fd, std::string data) {
  return suite::outcome(write(fd, data.data(), data.size()));
}

void check_writes(const Write& write, int fd, int peer) {
  check_equal("count", result(write, fd, "some data"), "9");
  check_equal("arrives", suite::read_some(peer, 9), "some data");
}

void check_much(const Write& write, int fd, int peer) {
  std::string much = suite::pattern(2, 200'000);
  const pid_t writer = suite::child([&] {
    ssize_t put = 0;
    for (size_t at = 0; at < much.size(); at += size_t(put)) {
      put = write(fd, &much[at], much.size() - at);
      if (put <= 0) {
        return 1;
      }
    }
    return 0;
  });
  check("much", suite::read_some(peer, much.size()) == much);
  check_equal("writer", suite::ending(writer), "exit_0");
}

void check_writing(const Write& write, On on) {
  const Connection pair;
  check_writes(write, pair.server, pair.client);
  check_writes(write, pair.client, pair.server);
  check_much(write, pair.server, pair.client);
  check_equal("listener", result(write, pair.listener, "x"), "EPIPE");
  ::shutdown(pair.client, SHUT_WR);
  check_equal("shut_down", result(write, pair.client, "x"), "EPIPE");
  check_equal("end", suite::read_all(pair.server), "");
  const Ends ends = on == On::kAnything ? pipe_pair() : unix_pair();
  check_writes(write, ends.out, ends.in);
  ::close(ends.out);
  check_equal("closed", result(write, ends.out, "x"), "EBADF");
  if (on == On::kSockets) {
    check_equal("no_socket", result(write, pipe_pair().out, "x"), "ENOTSOCK");
  }
}

template <typename Function>
void by_vector(Function call) {
  check_writing(
      [call](int fd, char* data, size_t size) {
        const iovec two[] = {{data, size / 2}, {data + size / 2, size - size / 2}};
        return call(fd, two, 2);
      },
      On::kAnything);
}

void of_write() {
  const auto call = the(&::write);
  check_writing([call](int fd, char* data, size_t size) { return call(fd, data, size); },
                On::kAnything);
}

void of_writev() {
  by_vector(the(&::writev));
}

void of_pwritev2() {
  const auto call = the(&::pwritev64v2);
  by_vector(
      [call](int fd, const iovec* parts, int count) { return call(fd, parts, count, -1, 0); });
  const Connection pair;
  char byte = 'x';
  const iovec one{&byte, 1};
  check_equal("at_an_offset", suite::outcome(call(pair.server, &one, 1, 5, 0)), "ESPIPE");
  const int file = suite::must(::memfd_create("file", MFD_CLOEXEC), "memfd_create");
  check("of_a_file", call(file, &one, 1, 3, 0) == 1 && ::lseek(file, 0, SEEK_END) == 4);
}

// What TLS cannot do is refused, where TCP takes it.
void check_refused(const std::function<ssize_t(int, int)>& send_one) {
  const Connection pair;
  const std::string out_of_band = suite::outcome(send_one(pair.client, MSG_OOB));
  check_equal("MSG_OOB", out_of_band, wrapped() ? "EOPNOTSUPP" : "1");
  check_equal("MSG_DONTWAIT", suite::outcome(send_one(pair.server, MSG_DONTWAIT)), "1");
  check_equal("arrives", suite::read_some(pair.client, 1), "x");
}

void of_send() {
  const auto call = the(&::send);
  check_writing([call](int fd, char* data, size_t size) { return call(fd, data, size, 0); },
                On::kSockets);
  check_refused([call](int fd, int flags) { return call(fd, "x", 1, flags); });
}

void of_sendto() {
  const auto call = the(&::sendto);
  check_writing(
      [call](int fd, char* data, size_t size) { return call(fd, data, size, 0, nullptr, 0); },
      On::kSockets);
  check_refused([call](int fd, int flags) { return call(fd, "x", 1, flags, nullptr, 0); });
}

void of_sendmsg() {
  const auto call = the(&::sendmsg);
  const auto send = [call](int fd, char* data, size_t size, int flags) {
    iovec two[] = {{data, size / 2}, {data + size / 2, size - size / 2}};
    msghdr message{};
    message.msg_iov = two;
    message.msg_iovlen = 2;
    return call(fd, &message, flags);
  };
  check_writing([send](int fd, char* data, size_t size) { return send(fd, data, size, 0); },
                On::kSockets);
  check_refused([send](int fd, int flags) {
    char byte = 'x';
    return send(fd, &byte, 1, flags);
  });
}

void of_sendmmsg() {
  const auto call = the(&::sendmmsg);
  check_writing(
      [call](int fd, char* data, size_t size) -> ssize_t {
        iovec parts[] = {{data, size / 2}, {data + size / 2, size - size / 2}};
        mmsghdr both[2] = {};
        both[0].msg_hdr.msg_iov = &parts[0];
        both[1].msg_hdr.msg_iov = &parts[1];
        both[0].msg_hdr.msg_iovlen = both[1].msg_hdr.msg_iovlen = 1;
        const int count = call(fd, both, 2, 0);
        if (count < 1) {
          return count;
        }
        return ssize_t(both[0].msg_len) + (count == 2 ? ssize_t(both[1].msg_len) : 0);
      },
      On::kSockets);
}

int file_of(const std::string& data) {
  const int file = suite::must(::memfd_create("file", MFD_CLOEXEC), "memfd_create");
  check("write", suite::write_all(file, data));
  return file;
}

void of_sendfile() {
  const auto call = the(&::sendfile64);
  const std::string data = suite::pattern(3, 100'000);
  const int file = file_of(data);
  const auto send_all = [&](int fd, int peer) {
    const pid_t writer = suite::child([&] {
      off64_t at = 10;
      while (size_t(at) < data.size()) {
        if (call(fd, file, &at, data.size()) <= 0) {
          return 1;
        }
      }
      return call(fd, file, &at, 1) == 0 ? 0 : 2;
    });
    check("data", suite::read_some(peer, data.size() - 10) == data.substr(10));
    check_equal("writer", suite::ending(writer), "exit_0");
  };
  const Connection pair;
  const Ends ends = unix_pair();
  send_all(pair.server, pair.client);
  send_all(pair.client, pair.server);
  send_all(ends.out, ends.in);
  ::lseek(file, 20, SEEK_SET);
  check("by_position", call(pair.server, file, nullptr, 30) == 30);
  check("position", ::lseek(file, 0, SEEK_CUR) == 50);
  check("data", suite::read_some(pair.client, 30) == data.substr(20, 30));
  check("listener", call(pair.listener, file, nullptr, 1) == -1);
  check_equal("from_a_socket", suite::outcome(call(pair.client, pair.server, nullptr, 1)),
              "EINVAL");
  ::close(ends.out);
  check_equal("closed", suite::outcome(call(ends.out, file, nullptr, 1)), "EBADF");
}

void of_splice() {
  const auto call = the(&::splice);
  const Connection pair;
  const Ends first = pipe_pair();
  const Ends second = pipe_pair();
  check("write", suite::write_all(first.out, "by splice"));
  check("between_pipes", call(first.in, nullptr, second.out, nullptr, 9, 0) == 9);
  check("into_a_connection", call(second.in, nullptr, pair.client, nullptr, 9, 0) == 9);
  suite::await(pair.server, POLLIN);
  check("from_a_connection", call(pair.server, nullptr, first.out, nullptr, 64, 0) == 9);
  check_equal("data", suite::read_some(first.in, 9), "by splice");
  suite::set_blocking(pair.server, false);
  check_equal("nothing_yet",
              suite::outcome(call(pair.server, nullptr, first.out, nullptr, 64, SPLICE_F_NONBLOCK)),
              "EAGAIN");
  suite::set_blocking(pair.server, true);
  ::close(pair.client);
  check("end", call(pair.server, nullptr, first.out, nullptr, 64, 0) == 0);
  check("listener", call(pair.listener, nullptr, first.out, nullptr, 64, 0) == -1);
  ::close(first.in);
  check_equal("closed", suite::outcome(call(first.in, nullptr, second.out, nullptr, 1, 0)),
              "EBADF");
}

}  // namespace

std::span<const suite::Case> writing() {
  static constexpr suite::Case kCases[] = {
      {"write", of_write},         {"writev", of_writev},        {"pwritev2", of_pwritev2},
      {"send", of_send},           {"pwritev64v2", of_pwritev2}, {"sendto", of_sendto},
      {"sendmsg", of_sendmsg},     {"sendmmsg", of_sendmmsg},    {"sendfile", of_sendfile},
      {"sendfile64", of_sendfile}, {"splice", of_splice},
  };
  return kCases;
}

}  // namespace symbols
