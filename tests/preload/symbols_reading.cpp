// Each function that reads.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/preload/symbols.h"

namespace symbols {
namespace {

using Read = std::function<ssize_t(int fd, char* room, size_t size)>;
enum class On { kAnything, kSockets };

std::string result(const Read& read, int fd, size_t size) {
  std::string room(size, '\0');
  const ssize_t got = read(fd, room.data(), size);
  return got < 0 ? suite::error_name(errno) : room.substr(0, size_t(got));
}

void check_reads(const Read& read, int fd, int peer) {
  check("write", suite::write_all(peer, "some data"));
  suite::await(fd, POLLIN);
  check_equal("part", result(read, fd, 4), "some");
  check_equal("rest", result(read, fd, 64), " data");
  suite::set_blocking(fd, false);
  check_equal("nothing_yet", result(read, fd, 64), "EAGAIN");
  suite::set_blocking(fd, true);
}

void check_reading(const Read& read, On on) {
  const Connection pair;
  check_reads(read, pair.server, pair.client);
  check_reads(read, pair.client, pair.server);
  const std::string much = suite::pattern(1, 50'000);
  check("write", suite::write_all(pair.client, much));
  ::shutdown(pair.client, SHUT_WR);
  std::string all;
  for (std::string part = "x"; !part.empty() && all.size() < much.size(); all += part) {
    part = result(read, pair.server, 7000);
  }
  check("much", all == much);
  check_equal("end", result(read, pair.server, 64), "");
  check_equal("end_again", result(read, pair.server, 64), "");
  check_equal("listener", result(read, pair.listener, 64), "ENOTCONN");
  const Ends ends = on == On::kAnything ? pipe_pair() : unix_pair();
  check_reads(read, ends.in, ends.out);
  ::close(ends.in);
  check_equal("closed", result(read, ends.in, 64), "EBADF");
  if (on == On::kSockets) {
    check_equal("no_socket", result(read, pipe_pair().in, 64), "ENOTSOCK");
  }
}

iovec vector_of(char* room, size_t size) {
  return {room, size};
}

template <typename Function>
void by_vector(Function call) {
  check_reading(
      [call](int fd, char* room, size_t size) {
        const iovec two[] = {vector_of(room, size / 2),
                             vector_of(room + size / 2, size - size / 2)};
        return call(fd, two, 2);
      },
      On::kAnything);
}

template <typename Offset>
void by_positioned_vector(ssize_t (*call)(int, const iovec*, int, Offset, int)) {
  by_vector([call](int fd, const iovec* parts, int count) {
    return call(fd, parts, count, Offset(-1), 0);
  });
  const Connection pair;
  char byte = 0;
  const iovec one = vector_of(&byte, 1);
  check_equal("at_an_offset", suite::outcome(call(pair.server, &one, 1, Offset(5), 0)), "ESPIPE");
  const int file = suite::must(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "open");
  check("of_a_file", call(file, &one, 1, Offset(1), 0) == 1 && byte == 'E');
}

void check_flags(const std::function<ssize_t(int, char*, size_t, int)>& receive) {
  const Connection pair;
  char room[16] = {};
  check("MSG_DONTWAIT", receive(pair.server, room, 8, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  check("write", suite::write_all(pair.client, "abcd"));
  suite::await(pair.server, POLLIN);
  check("MSG_PEEK", receive(pair.server, room, 8, MSG_PEEK) == 4);
  check("MSG_WAITALL", receive(pair.server, room, 4, MSG_WAITALL) == 4);
  check_equal("data", room, "abcd");
  ::close(pair.client);
  check("less", receive(pair.server, room, 4, MSG_WAITALL) == 0);
}

void check_receiving(const std::function<ssize_t(int, char*, size_t, int)>& receive) {
  check_reading([&](int fd, char* room, size_t size) { return receive(fd, room, size, 0); },
                On::kSockets);
  check_flags(receive);
}

void of_read() {
  check_reading(the(&::read), On::kAnything);
}

void of_read_chk() {
  const auto call = the<ssize_t(int, void*, size_t, size_t)>();
  check_reading([call](int fd, char* room, size_t size) { return call(fd, room, size, size); },
                On::kAnything);
}

void of_readv() {
  by_vector(the(&::readv));
}

void of_preadv2() {
  by_positioned_vector<off64_t>(the(&::preadv64v2));
}

void of_recv() {
  check_receiving(the(&::recv));
}

void of_recv_chk() {
  const auto call = the<ssize_t(int, void*, size_t, size_t, int)>();
  check_receiving([call](int fd, char* room, size_t size, int flags) {
    return call(fd, room, size, size, flags);
  });
}

void of_recvfrom() {
  const auto call = the(&::recvfrom);
  check_receiving([call](int fd, char* room, size_t size, int flags) {
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    return call(fd, room, size, flags, reinterpret_cast<sockaddr*>(&from), &from_size);
  });
}

void of_recvfrom_chk() {
  const auto call = the<ssize_t(int, void*, size_t, size_t, int, sockaddr*, socklen_t*)>();
  check_receiving([call](int fd, char* room, size_t size, int flags) {
    return call(fd, room, size, size, flags, nullptr, nullptr);
  });
}

void of_recvmsg() {
  const auto call = the(&::recvmsg);
  check_receiving([call](int fd, char* room, size_t size, int flags) {
    iovec two[] = {vector_of(room, size / 2), vector_of(room + size / 2, size - size / 2)};
    msghdr message{};
    message.msg_iov = two;
    message.msg_iovlen = 2;
    return call(fd, &message, flags);
  });
}

void of_recvmmsg() {
  const auto call = the(&::recvmmsg);
  check_receiving([call](int fd, char* room, size_t size, int flags) -> ssize_t {
    iovec part = vector_of(room, size);
    mmsghdr message{};
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    const int count = call(fd, &message, 1, flags, nullptr);
    return count == 1 ? ssize_t(message.msg_len) : count;
  });
  const Connection pair;
  char room[2][4] = {};
  iovec parts[] = {vector_of(room[0], 4), vector_of(room[1], 4)};
  mmsghdr both[2] = {};
  both[0].msg_hdr.msg_iov = &parts[0];
  both[1].msg_hdr.msg_iov = &parts[1];
  both[0].msg_hdr.msg_iovlen = both[1].msg_hdr.msg_iovlen = 1;
  check("write", suite::write_all(pair.client, "12345678"));
  check("two", call(pair.server, both, 2, MSG_WAITALL, nullptr) == 2);
  check_equal("data", std::string(room[0], 4) + std::string(room[1], 4), "12345678");
}

}  // namespace

std::span<const suite::Case> reading() {
  static constexpr suite::Case kCases[] = {
      {"read", of_read},           {"__read_chk", of_read_chk}, {"readv", of_readv},
      {"preadv2", of_preadv2},     {"preadv64v2", of_preadv2},  {"recv", of_recv},
      {"__recv_chk", of_recv_chk}, {"recvfrom", of_recvfrom},   {"__recvfrom_chk", of_recvfrom_chk},
      {"recvmsg", of_recvmsg},     {"recvmmsg", of_recvmmsg},
  };
  return kCases;
}

}  // namespace symbols
