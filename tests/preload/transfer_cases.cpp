// Much data: by read and write, by sendfile and splice, in large and in small pieces.
#include <cerrno>
#include <thread>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

constexpr size_t kMuch = 8 << 20;
constexpr size_t kSome = 1 << 20;

int file_of(const std::string& data) {
  const int fd = must(::memfd_create("data", MFD_CLOEXEC), "memfd_create");
  if (!write_all(fd, data)) {
    give_up("write of a file");
  }
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

void both_ways() {
  const Pair pair = pair_of();
  const std::string out = pattern(1, kMuch);
  const std::string back = pattern(2, kMuch);
  std::string at_server;
  std::string at_client;
  std::thread server_reads([&] { at_server = read_all(pair.server); });
  std::thread client_reads([&] { at_client = read_all(pair.client); });
  std::thread server_writes([&] {
    write_all(pair.server, back);
    ::shutdown(pair.server, SHUT_WR);
  });
  write_all(pair.client, out);
  ::shutdown(pair.client, SHUT_WR);
  server_writes.join();
  server_reads.join();
  client_reads.join();
  say("server", long(at_server.size()));
  say("hash", hash(at_server));
  say("client", long(at_client.size()));
  say("hash", hash(at_client));
  say("right", at_server == out && at_client == back);
}

void non_blocking_both_ways() {
  const Pair pair = pair_of();
  set_blocking(pair.client, false);
  set_blocking(pair.server, false);
  const std::string data = pattern(3, kSome);
  std::string echoed;
  std::string held;
  size_t sent = 0;
  size_t answered = 0;
  char part[20'000];
  while (echoed.size() < data.size()) {
    pollfd both[] = {{pair.client, short(sent < data.size() ? POLLIN | POLLOUT : POLLIN), 0},
                     {pair.server, short(answered < held.size() ? POLLIN | POLLOUT : POLLIN), 0}};
    if (must(::poll(both, 2, kPatienceMs), "poll") == 0) {
      give_up("waiting");
    }
    if (const ssize_t got = ::read(pair.client, part, sizeof part); got > 0) {
      echoed.append(part, size_t(got));
    }
    if (const ssize_t got = ::read(pair.server, part, sizeof part); got > 0) {
      held.append(part, size_t(got));
    }
    if (const ssize_t put = ::write(pair.client, &data[sent], data.size() - sent); put > 0) {
      sent += size_t(put);
    }
    if (const ssize_t put = ::write(pair.server, &held[answered], held.size() - answered);
        put > 0) {
      answered += size_t(put);
    }
  }
  say("bytes", long(echoed.size()));
  say("hash", hash(echoed));
}

// Until nothing more is taken; then all of it comes, and it can be written on.
void full_buffers() {
  const Pair pair = pair_of();
  set_blocking(pair.client, false);
  const std::string data = pattern(4, kSome);
  size_t sent = 0;
  std::string last = "never";
  while (sent < (size_t(1) << 30)) {
    const ssize_t put = ::write(pair.client, data.data(), data.size());
    if (put < 0) {
      last = error_name(errno);
      // What is on its way may make room once more.
      if ((await(pair.client, POLLOUT, 1000) & POLLOUT) == 0) {
        break;
      }
      continue;
    }
    sent += size_t(put);
  }
  say("write", last);
  say("poll", poll_names(await(pair.client, POLLOUT, 0)));
  say("all_came", read_some(pair.server, sent).size() == sent);
  say("poll", poll_names(await(pair.client, POLLOUT)));
  set_blocking(pair.client, true);
  say("talk", talk(pair.client, pair.server));
}

void small_writes() {
  const Pair pair = pair_of();
  const int on = 1;
  must(::setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
  std::string got;
  std::thread reader([&] { got = read_all(pair.server); });
  std::string all;
  for (int number = 0; number < 5000; ++number) {
    const std::string word = std::to_string(number) + ",";
    all += word;
    if (!write_all(pair.client, word)) {
      break;
    }
  }
  ::shutdown(pair.client, SHUT_WR);
  reader.join();
  say("bytes", long(got.size()));
  say("right", got == all);
}

void small_reads() {
  const Pair pair = pair_of();
  const std::string data = pattern(5, 20'000);
  write_all(pair.client, data);
  ::shutdown(pair.client, SHUT_WR);
  std::string got;
  char byte = 0;
  while (::read(pair.server, &byte, 1) == 1) {
    got += byte;
  }
  say("right", got == data);
}

void by_sendfile() {
  const Pair pair = pair_of();
  const std::string data = pattern(6, kSome);
  const int file = file_of(data);
  std::string got;
  std::thread reader([&] { got = read_all(pair.client); });
  off_t at = 1000;
  size_t sent = 0;
  while (sent < data.size() - 1000) {
    const ssize_t put = ::sendfile(pair.server, file, &at, data.size() - 1000 - sent);
    if (put <= 0) {
      break;
    }
    sent += size_t(put);
  }
  say("sent", long(sent));
  say("offset", at);
  say("file_at", ::lseek(file, 0, SEEK_CUR));
  say("end", outcome(::sendfile(pair.server, file, &at, 1000)));
  say("by_position", outcome(::sendfile(pair.server, file, nullptr, 500)));
  say("file_at", ::lseek(file, 0, SEEK_CUR));
  ::shutdown(pair.server, SHUT_WR);
  reader.join();
  say("bytes", long(got.size()));
  say("right", got == data.substr(1000) + data.substr(0, 500));
  say("from_a_socket", outcome(::sendfile(pair.client, pair.server, nullptr, 10)));
}

void sendfile_non_blocking() {
  const Pair pair = pair_of();
  const std::string data = pattern(7, kSome);
  const int file = file_of(data);
  set_blocking(pair.server, false);
  std::string got;
  std::string last = "never";
  std::thread reader([&] { got = read_all(pair.client); });
  off_t at = 0;
  while (size_t(at) < data.size()) {
    if (::sendfile(pair.server, file, &at, data.size() - size_t(at)) < 0) {
      last = error_name(errno);
      if (last != "EAGAIN" || await(pair.server, POLLOUT) != POLLOUT) {
        break;
      }
    }
  }
  ::shutdown(pair.server, SHUT_WR);
  reader.join();
  say("errors", last == "never" || last == "EAGAIN" ? "EAGAIN_at_most" : last);
  say("right", got == data);
}

void splice_out() {
  const Pair pair = pair_of();
  int pipes[2];
  must(::pipe(pipes), "pipe");
  const std::string data = pattern(8, 200'000);
  std::string got;
  std::thread reader([&] { got = read_all(pair.client); });
  for (size_t at = 0; at < data.size();) {
    const ssize_t put = ::write(pipes[1], &data[at], std::min<size_t>(30'000, data.size() - at));
    const ssize_t sent = ::splice(pipes[0], nullptr, pair.server, nullptr, size_t(put), 0);
    if (sent != put) {
      say("splice", outcome(sent));
      break;
    }
    at += size_t(put);
  }
  ::shutdown(pair.server, SHUT_WR);
  reader.join();
  say("bytes", long(got.size()));
  say("right", got == data);
}

void splice_in() {
  const Pair pair = pair_of();
  int pipes[2];
  must(::pipe(pipes), "pipe");
  const std::string data = pattern(9, 200'000);
  std::thread writer([&] {
    write_all(pair.client, data);
    ::shutdown(pair.client, SHUT_WR);
  });
  std::string got;
  std::string last;
  while (true) {
    const ssize_t came = ::splice(pair.server, nullptr, pipes[1], nullptr, 30'000, SPLICE_F_MOVE);
    last = outcome(came);
    if (came <= 0) {
      break;
    }
    got += read_some(pipes[0], size_t(came));
  }
  writer.join();
  say("end", last);
  say("bytes", long(got.size()));
  say("right", got == data);
}

void splice_non_blocking() {
  const Pair pair = pair_of();
  int pipes[2];
  must(::pipe(pipes), "pipe");
  set_blocking(pair.server, false);
  say("empty", outcome(::splice(pair.server, nullptr, pipes[1], nullptr, 10, SPLICE_F_NONBLOCK)));
  write_all(pair.client, "0123456789");
  await(pair.server, POLLIN);
  say("some", outcome(::splice(pair.server, nullptr, pipes[1], nullptr, 10, SPLICE_F_NONBLOCK)));
  say("data", read_some(pipes[0], 10));
  say("no_pipe", outcome(::splice(pair.server, nullptr, pair.client, nullptr, 10, 0)));
}

}  // namespace

std::span<const Case> transfer_cases() {
  static constexpr Case kCases[] = {
      {"8 MiB both ways at once", both_ways},
      {"1 MiB echoed without blocking", non_blocking_both_ways},
      {"full buffers", full_buffers},
      {"many small writes", small_writes},
      {"many small reads", small_reads},
      {"sendfile", by_sendfile},
      {"sendfile without blocking", sendfile_non_blocking},
      {"splice from a pipe", splice_out},
      {"splice into a pipe", splice_in},
      {"splice without blocking", splice_non_blocking},
  };
  return kCases;
}

}  // namespace suite
