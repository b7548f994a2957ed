// What the programs here are when they are executed by one of their cases.
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

int serve_connection(int fd) {
  const std::string got = read_some(fd, 8);
  const bool well = write_all(fd, "[" + got + "]");
  ::close(fd);
  return well ? 0 : 1;
}

}  // namespace

int serve_listener(int fd) {
  const int server = ::accept(fd, nullptr, nullptr);
  return server < 0 ? 1 : serve_connection(server);
}

int be_another_program(std::span<char* const> words) {
  if (words.size() != 2) {
    return 2;
  }
  const int fd = int(std::strtol(words[1], nullptr, 10));
  return std::strcmp(words[0], "listener") == 0 ? serve_listener(fd) : serve_connection(fd);
}

}  // namespace suite
