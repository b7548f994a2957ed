// libevent, by each of its ways to wait.
#include <memory>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

constexpr size_t kSize = 300'000;
constexpr int kClients = 3;

struct Echo {
  event_base* base = nullptr;
  std::string sent = pattern(21, kSize);
  std::string received[kClients];
  int connected = 0;
  int ended = 0;
  int errors = 0;
};

struct Client {
  Echo* echo;
  int index;
};

void echo_back(bufferevent* events, void*) {
  ::bufferevent_write_buffer(events, ::bufferevent_get_input(events));
}

// At the end of what comes, what is left to send is sent; then the connection is closed.
void close_when_sent(bufferevent* events, void*) {
  if (::evbuffer_get_length(::bufferevent_get_output(events)) == 0) {
    ::bufferevent_free(events);
  }
}

void server_event(bufferevent* events, short what, void* data) {
  if ((what & BEV_EVENT_ERROR) != 0) {
    ++static_cast<Echo*>(data)->errors;
  }
  if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0) {
    ::bufferevent_setcb(events, nullptr, close_when_sent, server_event, data);
    close_when_sent(events, nullptr);
  }
}

void accepted(evconnlistener* listener, evutil_socket_t fd, sockaddr*, int, void* data) {
  bufferevent* events =
      ::bufferevent_socket_new(::evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
  ::bufferevent_setcb(events, echo_back, nullptr, server_event, data);
  ::bufferevent_enable(events, EV_READ | EV_WRITE);
}

void client_reads(bufferevent* events, void* data) {
  const Client& client = *static_cast<Client*>(data);
  std::string& received = client.echo->received[client.index];
  char part[4096];
  while (const size_t got = ::bufferevent_read(events, part, sizeof part)) {
    received.append(part, got);
  }
  if (received.size() >= kSize) {
    ::shutdown(::bufferevent_getfd(events), SHUT_WR);
  }
}

void client_event(bufferevent*, short what, void* data) {
  Echo& echo = *static_cast<Client*>(data)->echo;
  echo.connected += (what & BEV_EVENT_CONNECTED) != 0;
  echo.errors += (what & BEV_EVENT_ERROR) != 0;
  if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0 && ++echo.ended == kClients) {
    ::event_base_loopbreak(echo.base);
  }
}

void run_by(const char* method) {
  event_config* config = ::event_config_new();
  for (const char* each : {"epoll", "poll", "select"}) {
    if (std::string(each) != method) {
      ::event_config_avoid_method(config, each);
    }
  }
  Echo echo;
  echo.base = ::event_base_new_with_config(config);
  ::event_config_free(config);
  say("method", ::event_base_get_method(echo.base));
  const int fd = listener(0, SOCK_NONBLOCK);
  evconnlistener* listening =
      ::evconnlistener_new(echo.base, accepted, &echo, LEV_OPT_CLOSE_ON_FREE, 0, fd);
  Client clients[kClients];
  bufferevent* all[kClients];
  for (int index = 0; index < kClients; ++index) {
    clients[index] = {&echo, index};
    const int socket = tcp_socket(AF_INET, SOCK_NONBLOCK);
    say("connect", outcome(start_connect(socket, AF_INET, port(0))));
    all[index] = ::bufferevent_socket_new(echo.base, socket, BEV_OPT_CLOSE_ON_FREE);
    ::bufferevent_setcb(all[index], client_reads, nullptr, client_event, &clients[index]);
    ::bufferevent_enable(all[index], EV_READ | EV_WRITE);
    ::bufferevent_write(all[index], echo.sent.data(), echo.sent.size());
  }
  const timeval limit{kPatienceMs / 1000, 0};
  ::event_base_loopexit(echo.base, &limit);
  ::event_base_dispatch(echo.base);
  for (int index = 0; index < kClients; ++index) {
    say("right", echo.received[index] == echo.sent);
    ::bufferevent_free(all[index]);
  }
  say("ended", echo.ended);
  say("errors", echo.errors);
  ::evconnlistener_free(listening);
  ::event_base_free(echo.base);
}

// It connects itself, and says so.
void connects_itself() {
  Echo echo;
  echo.base = ::event_base_new();
  const int fd = listener(0, SOCK_NONBLOCK);
  evconnlistener* listening =
      ::evconnlistener_new(echo.base, accepted, &echo, LEV_OPT_CLOSE_ON_FREE, 0, fd);
  Client client{&echo, 0};
  bufferevent* events = ::bufferevent_socket_new(echo.base, -1, BEV_OPT_CLOSE_ON_FREE);
  ::bufferevent_setcb(events, client_reads, nullptr, client_event, &client);
  ::bufferevent_enable(events, EV_READ | EV_WRITE);
  ::bufferevent_write(events, echo.sent.data(), echo.sent.size());
  echo.ended = kClients - 1;
  say("connect",
      ::bufferevent_socket_connect_hostname(events, nullptr, AF_INET, "localhost", port(0)));
  const timeval limit{kPatienceMs / 1000, 0};
  ::event_base_loopexit(echo.base, &limit);
  ::event_base_dispatch(echo.base);
  say("connected", echo.connected);
  say("right", echo.received[0] == echo.sent);
  say("errors", echo.errors);
  ::bufferevent_free(events);
  ::evconnlistener_free(listening);
  ::event_base_free(echo.base);
}

}  // namespace

std::span<const Case> event_cases() {
  static constexpr Case kCases[] = {
      {"libevent by epoll", [] { run_by("epoll"); }},
      {"libevent by poll", [] { run_by("poll"); }},
      {"libevent by select", [] { run_by("select"); }},
      {"libevent that connects by name", connects_itself},
  };
  return kCases;
}

}  // namespace suite
