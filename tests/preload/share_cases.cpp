// What several processes have: after fork, in prefork servers, and passed over a Unix socket.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

void copies_of_connection() {
  const Pair pair = pair_of();
  const int copies[] = {::dup(pair.server), ::dup2(pair.server, 200),
                        ::dup3(pair.server, 201, O_CLOEXEC), ::fcntl(pair.server, F_DUPFD, 210),
                        ::fcntl(pair.server, F_DUPFD_CLOEXEC, 220)};
  say("close", outcome(::close(pair.server)));
  for (const int copy : copies) {
    say("talk", talk(pair.client, copy));
    say("idle", poll_names(await(pair.client, POLLIN | POLLRDHUP, 0)));
    say("close", outcome(::close(copy)));
  }
  say("end", long(read_all(pair.client).size()));
}

void number_taken() {
  const Pair pair = pair_of();
  const Pair other = pair_of(1);
  say("dup2", ::dup2(other.server, pair.server) == pair.server);
  say("ended", long(read_all(pair.client).size()));
  say("talk", talk(other.client, pair.server));
  const int null = must(::open("/dev/null", O_RDWR), "open");
  say("dup2", ::dup2(null, pair.server) == pair.server);
  say("to_nowhere", outcome(::write(pair.server, "gone", 4)));
  say("talk", talk(other.client, other.server));
}

void fork_per_connection() {
  constexpr int kClients = 6;
  const int fd = listener();
  const pid_t server = child([&] {
    for (int count = 0; count < kClients; ++count) {
      const int connection = must(::accept(fd, nullptr, nullptr), "accept");
      child([&] {
        ::close(fd);
        write_all(connection, "(" + read_all(connection) + ")");
        return 0;
      });
      ::close(connection);
    }
    while (::wait(nullptr) > 0) {
    }
    return 0;
  });
  ::close(fd);
  for (int count = 0; count < kClients; ++count) {
    const int client = connected();
    write_all(client, "client-" + std::to_string(count));
    ::shutdown(client, SHUT_WR);
    say("reply", read_all(client));
    ::close(client);
  }
  say("server", ending(server));
}

void prefork() {
  constexpr int kWorkers = 3;
  constexpr int kClients = 30;
  const int fd = listener();
  pid_t workers[kWorkers];
  for (pid_t& worker : workers) {
    worker = child([&] {
      while (true) {
        const int connection = must(::accept(fd, nullptr, nullptr), "accept");
        if (read_some(connection, 1) == "q") {
          return 0;
        }
        write_all(connection, "w");
        ::close(connection);
      }
    });
  }
  std::string replies;
  std::vector<int> clients;
  for (int count = 0; count < kClients; ++count) {
    clients.push_back(connected());
    write_all(clients.back(), "a");
  }
  for (const int client : clients) {
    replies += read_all(client);
    ::close(client);
  }
  say("replies", replies);
  for (int count = 0; count < kWorkers; ++count) {
    const int client = connected();
    write_all(client, "q");
    read_all(client);
    ::close(client);
  }
  for (const pid_t worker : workers) {
    say("worker", ending(worker));
  }
}

// Each worker has an epoll set of its own, and most are woken for nothing.
void prefork_by_epoll() {
  constexpr int kClients = 12;
  const int fd = listener(0, SOCK_NONBLOCK);
  pid_t workers[2];
  for (pid_t& worker : workers) {
    worker = child([&] {
      while (true) {
        await(fd, POLLIN);
        const int connection = ::accept(fd, nullptr, nullptr);
        if (connection < 0) {
          if (errno != EAGAIN) {
            return 2;
          }
          continue;
        }
        if (read_some(connection, 1) == "q") {
          return 0;
        }
        write_all(connection, "w");
        ::close(connection);
      }
    });
  }
  std::string replies;
  for (int count = 0; count < kClients + 2; ++count) {
    const int client = connected();
    write_all(client, count < kClients ? "a" : "q");
    replies += read_all(client);
    ::close(client);
  }
  say("replies", replies);
  say("workers", ending(workers[0]) + "," + ending(workers[1]));
}

void parent_closes_first() {
  const Pair pair = pair_of();
  const pid_t pid = child([&] {
    ::close(pair.client);
    write_all(pair.server, "from the child: " + read_some(pair.server, 2));
    return 0;
  });
  ::close(pair.server);
  say("idle", poll_names(await(pair.client, POLLIN | POLLRDHUP, 50)));
  write_all(pair.client, "go");
  say("client", read_all(pair.client) == "from the child: go");
  say("child", ending(pid));
}

void child_closes_first() {
  const Pair pair = pair_of();
  const pid_t pid = child([&] {
    write_all(pair.server, "child;");
    ::close(pair.server);
    ::close(pair.client);
    return 0;
  });
  say("child", ending(pid));
  say("client", read_some(pair.client, 6));
  say("idle", poll_names(await(pair.client, POLLIN | POLLRDHUP, 50)));
  say("talk", talk(pair.client, pair.server));
  ::close(pair.server);
  say("end", long(read_all(pair.client).size()));
}

void client_shared() {
  const Pair pair = pair_of();
  std::string together;
  for (int count = 0; count < 3; ++count) {
    const pid_t pid = child([&] { return write_all(pair.client, std::to_string(count)) ? 0 : 1; });
    together += ending(pid) + ",";
  }
  say("children", together);
  say("server", read_some(pair.server, 3));
  say("talk", talk(pair.client, pair.server));
}

void send_descriptor(int over, int fd) {
  char byte = 'd';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::copy_n(reinterpret_cast<const char*>(&fd), sizeof fd,
              reinterpret_cast<char*>(CMSG_DATA(header)));
  must(::sendmsg(over, &message, 0), "sendmsg");
}

int received_descriptor(int over) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  must(::recvmsg(over, &message, MSG_CMSG_CLOEXEC), "recvmsg");
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::copy_n(reinterpret_cast<const char*>(CMSG_DATA(header)), sizeof fd,
                reinterpret_cast<char*>(&fd));
  }
  return fd;
}

// The worker was there before the connection, and has it from the message alone.
void passed_on() {
  int over[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM, 0, over), "socketpair");
  const pid_t worker = child([&] {
    ::close(over[0]);
    const int connection = received_descriptor(over[1]);
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(connection, reinterpret_cast<sockaddr*>(&peer), &size) != 0 ||
        peer.ss_family != AF_INET) {
      return 2;
    }
    write_all(connection, "worker: " + read_some(connection, 5));
    ::close(connection);
    return 0;
  });
  ::close(over[1]);
  const Pair pair = pair_of();
  send_descriptor(over[0], pair.server);
  say("close", outcome(::close(pair.server)));
  say("idle", poll_names(await(pair.client, POLLIN | POLLRDHUP, 50)));
  write_all(pair.client, "hello");
  say("client", read_all(pair.client) == "worker: hello");
  say("worker", ending(worker));
}

void passed_within() {
  int over[2];
  must(::socketpair(AF_UNIX, SOCK_STREAM, 0, over), "socketpair");
  const Pair pair = pair_of();
  send_descriptor(over[0], pair.server);
  ::close(pair.server);
  const int again = received_descriptor(over[1]);
  say("FD_CLOEXEC", ::fcntl(again, F_GETFD));
  say("talk", talk(pair.client, again));
  ::close(again);
  say("end", long(read_all(pair.client).size()));
}

void ends_of_processes() {
  void (*const ends[])(int) = {std::exit, ::_exit, std::quick_exit};
  for (const auto end : ends) {
    const Pair pair = pair_of();
    const pid_t pid = child([&]() -> int {
      write_all(pair.server, "bye");
      end(4);
      return 1;
    });
    ::close(pair.server);
    ::close(pair.listener);
    say("child", ending(pid));
    say("client", read_all(pair.client));
    char byte = 0;
    say("end", outcome(::read(pair.client, &byte, 1)));
    ::close(pair.client);
  }
}

// Whoever starts a server again finds its port free.
void ends_with_listeners() {
  void (*const ends[])(int) = {std::exit, ::_exit, std::quick_exit};
  for (const auto end : ends) {
    const pid_t pid = child([&]() -> int {
      listener();
      end(4);
      return 1;
    });
    say("child", ending(pid));
    const int fd = listener();
    const int client = connected();
    say("talk", talk(client, must(::accept(fd, nullptr, nullptr), "accept")));
    say("close", outcome(::close(fd)));
  }
}

}  // namespace

std::span<const Case> share_cases() {
  static constexpr Case kCases[] = {
      {"copies of a connection", copies_of_connection},
      {"a connection's number taken by dup2", number_taken},
      {"fork per connection", fork_per_connection},
      {"prefork with 3 workers", prefork},
      {"prefork, non-blocking", prefork_by_epoll},
      {"a parent that closes first", parent_closes_first},
      {"a child that closes first", child_closes_first},
      {"a client's connection shared by children", client_shared},
      {"a connection passed to another process", passed_on},
      {"a connection passed within a process", passed_within},
      {"exit, _exit and quick_exit with a connection", ends_of_processes},
      {"exit, _exit and quick_exit with a listener", ends_with_listeners},
  };
  return kCases;
}

}  // namespace suite
