// Reading and writing in every way, and the end of a connection.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

void half_close() {
  const Pair pair = pair_of();
  write_all(pair.client, "question");
  say("shutdown", outcome(::shutdown(pair.client, SHUT_WR)));
  say("server", read_all(pair.server));
  say("server_again", long(read_all(pair.server).size()));
  say("written", write_all(pair.server, "a reply after the end") ? 1 : 0);
  say("client", read_some(pair.client, 21));
  say("write", outcome(::send(pair.client, "x", 1, MSG_NOSIGNAL)));
  say("close", outcome(::close(pair.server)));
  say("end", long(read_all(pair.client).size()));
}

void end_by_close() {
  const Pair pair = pair_of();
  write_all(pair.server, "last words");
  say("close", outcome(::close(pair.server)));
  say("client", read_all(pair.client));
  char byte = 0;
  say("again", outcome(::read(pair.client, &byte, 1)));
  say("recv", outcome(::recv(pair.client, &byte, 1, MSG_DONTWAIT)));
}

// TCP has finished with a socket whose both ends have ended, with everything read or not: whoever
// then still has it finds no trace of it outside of the process.
void read_after_the_end() {
  constexpr unsigned kLongEnoughForABrokerToLookUs = 2'500'000;
  const Pair pair = pair_of();
  write_all(pair.client, "question");
  ::shutdown(pair.client, SHUT_WR);
  say("server", read_all(pair.server));
  write_all(pair.server, "a reply");
  ::close(pair.server);
  ::usleep(kLongEnoughForABrokerToLookUs);
  say("client", read_all(pair.client));
  char byte = 0;
  say("again", outcome(::read(pair.client, &byte, 1)));
}

void shutdown_of_reading() {
  const Pair pair = pair_of();
  char byte = 0;
  say("SHUT_RD", outcome(::shutdown(pair.server, SHUT_RD)));
  say("read", outcome(::recv(pair.server, &byte, 1, MSG_DONTWAIT)));
  write_all(pair.server, "on");
  say("client", read_some(pair.client, 2));
  say("SHUT_RDWR", outcome(::shutdown(pair.server, SHUT_RDWR)));
  say("client", long(read_all(pair.client).size()));
  say("wrong", outcome(::shutdown(pair.client, 7)));
}

void vectors() {
  const Pair pair = pair_of();
  char one[] = "one ";
  char two[] = "and two";
  char room[4][3] = {};
  const iovec out[] = {{one, 4}, {nullptr, 0}, {two, 7}};
  const iovec in[] = {{room[0], 3}, {room[1], 0}, {room[2], 3}, {room[3], 3}};
  say("writev", outcome(::writev(pair.client, out, 3)));
  await(pair.server, POLLIN);
  say("readv", outcome(::readv(pair.server, in, 4)));
  say("parts",
      std::string(room[0], 3) + "|" + std::string(room[2], 3) + "|" + std::string(room[3], 3));
  say("left", read_some(pair.server, 2));
  say("empty", outcome(::writev(pair.client, out, 0)));
  say("nothing", outcome(::write(pair.client, one, 0)));
  say("pwrite", outcome(::pwrite(pair.client, one, 1, 0)));
  say("pread", outcome(::pread(pair.client, one, 1, 0)));
  say("lseek", outcome(::lseek(pair.client, 0, SEEK_CUR)));
}

void messages() {
  const Pair pair = pair_of();
  char one[] = "mess";
  char two[] = "age";
  char room[8] = {};
  iovec out[] = {{one, 4}, {two, 3}};
  iovec in[] = {{room, 2}, {room + 2, 6}};
  msghdr message{};
  message.msg_iov = out;
  message.msg_iovlen = 2;
  say("sendmsg", outcome(::sendmsg(pair.client, &message, MSG_NOSIGNAL)));
  message = {};
  char control[64];
  message.msg_iov = in;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  await(pair.server, POLLIN);
  say("recvmsg", outcome(::recvmsg(pair.server, &message, 0)));
  say("data", room);
  say("flags", message.msg_flags);
  say("control", long(message.msg_controllen));
  say("sendto", outcome(::sendto(pair.server, "to", 2, 0, nullptr, 0)));
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  await(pair.client, POLLIN);
  say("recvfrom",
      outcome(::recvfrom(pair.client, room, 8, 0, reinterpret_cast<sockaddr*>(&from), &size)));
  say("address_size", size);
}

void many_messages() {
  const Pair pair = pair_of();
  char words[3][5] = {"one ", "two ", "six "};
  char room[3][4] = {};
  iovec out[3];
  iovec in[3];
  mmsghdr sent[3] = {};
  mmsghdr received[3] = {};
  for (int index = 0; index < 3; ++index) {
    out[index] = {words[index], 4};
    in[index] = {room[index], 4};
    sent[index].msg_hdr.msg_iov = &out[index];
    received[index].msg_hdr.msg_iov = &in[index];
    sent[index].msg_hdr.msg_iovlen = received[index].msg_hdr.msg_iovlen = 1;
  }
  say("sendmmsg", outcome(::sendmmsg(pair.client, sent, 3, 0)));
  say("lengths", sent[0].msg_len + sent[1].msg_len * 10L + sent[2].msg_len * 100L);
  timespec limit{kPatienceMs / 1000, 0};
  say("recvmmsg", outcome(::recvmmsg(pair.server, received, 3, MSG_WAITALL, &limit)));
  say("data", std::string(room[0], 4) + std::string(room[1], 4) + std::string(room[2], 4));
  say("none", outcome(::recvmmsg(pair.server, received, 3, MSG_DONTWAIT, nullptr)));
  write_all(pair.client, "late");
  await(pair.server, POLLIN);
  say("one", outcome(::recvmmsg(pair.server, received, 3, MSG_WAITFORONE, nullptr)));
}

void peeking() {
  const Pair pair = pair_of();
  char room[8] = {};
  write_all(pair.client, "abcdef");
  await(pair.server, POLLIN);
  say("peek", outcome(::recv(pair.server, room, 3, MSG_PEEK)));
  say("more", outcome(::recv(pair.server, room, 8, MSG_PEEK)));
  say("data", room);
  say("poll", poll_names(await(pair.server, POLLIN, 0)));
  say("take", outcome(::recv(pair.server, room, 2, 0)));
  say("peek", outcome(::recv(pair.server, room, 8, MSG_PEEK)));
  say("rest", read_some(pair.server, 4));
  say("none", outcome(::recv(pair.server, room, 8, MSG_PEEK | MSG_DONTWAIT)));
  ::close(pair.client);
  say("end", outcome(::recv(pair.server, room, 8, MSG_PEEK)));
  say("end", outcome(::recv(pair.server, room, 8, 0)));
}

void wait_for_all() {
  const Pair pair = pair_of();
  const std::string data = pattern(3, 100'000);
  const pid_t writer = child([&] {
    for (size_t at = 0; at < data.size(); at += 10'000) {
      write_all(pair.client, std::string_view(data).substr(at, 10'000));
      ::usleep(1000);
    }
    write_all(pair.client, "tail");
    return 0;
  });
  std::string room(data.size(), '\0');
  say("all", outcome(::recv(pair.server, room.data(), room.size(), MSG_WAITALL)));
  say("right", room == data);
  say("writer", ending(writer));
  ::close(pair.client);
  say("less", outcome(::recv(pair.server, room.data(), room.size(), MSG_WAITALL)));
}

void not_waiting() {
  const Pair pair = pair_of();
  char room[8] = {};
  say("MSG_DONTWAIT", outcome(::recv(pair.server, room, 8, MSG_DONTWAIT)));
  int on = 1;
  say("FIONBIO", outcome(::ioctl(pair.server, FIONBIO, &on)));
  say("read", outcome(::read(pair.server, room, 8)));
  say("O_NONBLOCK", (::fcntl(pair.server, F_GETFL) & O_NONBLOCK) != 0);
  write_all(pair.client, "12345");
  await(pair.server, POLLIN);
  say("read", outcome(::read(pair.server, room, 8)));
  on = 0;
  say("FIONBIO", outcome(::ioctl(pair.server, FIONBIO, &on)));
  say("O_NONBLOCK", (::fcntl(pair.server, F_GETFL) & O_NONBLOCK) != 0);
}

void waiting_bytes() {
  const Pair pair = pair_of();
  int bytes = -1;
  say("FIONREAD", outcome(::ioctl(pair.server, FIONREAD, &bytes)));
  say("none", bytes);
  write_all(pair.client, "12345");
  await(pair.server, POLLIN);
  say("FIONREAD", outcome(::ioctl(pair.server, FIONREAD, &bytes)));
  say("five", bytes);
  read_some(pair.server, 2);
  ::ioctl(pair.server, FIONREAD, &bytes);
  say("three", bytes);
}

// Writes until that fails: the peer's system says with a reset that nobody reads any more.
std::string write_to_the_end(int fd, int flags) {
  for (int count = 0; count < 1000; ++count) {
    if (::send(fd, "x", 1, flags) < 0) {
      return error_name(errno);
    }
    ::usleep(1000);
  }
  return "never";
}

void writing_to_nobody() {
  std::signal(SIGPIPE, SIG_DFL);
  const Pair pair = pair_of();
  ::close(pair.client);
  say("read", long(read_all(pair.server).size()));
  say("MSG_NOSIGNAL", write_to_the_end(pair.server, MSG_NOSIGNAL));
  say("again", outcome(::send(pair.server, "x", 1, MSG_NOSIGNAL)));
  say("child", ending(child([&] { return write_to_the_end(pair.server, 0) == "EPIPE" ? 1 : 2; })));
  std::signal(SIGPIPE, SIG_IGN);
  say("ignored", outcome(::write(pair.server, "x", 1)));
}

void bad_descriptors() {
  char byte = 0;
  const Pair pair = pair_of();
  const int copy = ::dup(pair.server);
  ::close(copy);
  say("read", outcome(::read(copy, &byte, 1)));
  say("send", outcome(::send(copy, &byte, 1, 0)));
  say("shutdown", outcome(::shutdown(copy, SHUT_WR)));
  say("close", outcome(::close(copy)));
  say("dup", outcome(::dup(copy)));
  say("fcntl", outcome(::fcntl(copy, F_GETFD)));
  say("negative", outcome(::close(-1)));
  say("bad_pointer", outcome(::send(pair.client, reinterpret_cast<void*>(8), 4, 0)));
  say("talk", talk(pair.client, pair.server));
}

}  // namespace

std::span<const Case> data_cases() {
  static constexpr Case kCases[] = {
      {"half a close", half_close},
      {"the end by close", end_by_close},
      {"reading long after both ends", read_after_the_end},
      {"shutdown of reading", shutdown_of_reading},
      {"readv and writev", vectors},
      {"sendmsg and recvmsg", messages},
      {"sendmmsg and recvmmsg", many_messages},
      {"MSG_PEEK", peeking},
      {"MSG_WAITALL", wait_for_all},
      {"MSG_DONTWAIT and FIONBIO", not_waiting},
      {"FIONREAD", waiting_bytes},
      {"EPIPE and SIGPIPE", writing_to_nobody},
      {"what is wrong", bad_descriptors},
  };
  return kCases;
}

}  // namespace suite
