// Programs for children_test.py, by their first argument:
//   stdio        ends while a thread of it waits for a line of standard input
//   environment  empties its environment, and runs others by system(3) and popen(3)
//   clone PORT   serves one connection; a child that has its memory in common, but descriptors of
//   its
//                own, closes all of them before the connection is used
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

int end_beside_a_reader() {
  std::thread([] { static_cast<void>(std::getchar()); }).detach();
  ::usleep(200'000);  // for the thread to wait; if it does not yet, there is nothing to see
  std::puts("ended");
  return 0;
}

int run_with_nothing() {
  ::clearenv();
  if (std::system("echo system=$LD_PRELOAD") != 0) return 1;
  FILE* const program = ::popen("echo popen=$LD_PRELOAD", "r");
  char line[512] = {};
  if (program == nullptr || std::fgets(line, sizeof line, program) == nullptr) return 1;
  std::fputs(line, stdout);
  return ::pclose(program);
}

int close_everything(void*) {
  for (int fd = 3; fd < 64; ++fd) ::close(fd);
  return 0;
}

int serve_beside_a_clone(int port) {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 1;
  if (::listen(listening, 1) != 0) return 1;
  const int connection = ::accept(listening, nullptr, nullptr);
  alignas(16) static char stack[65'536];
  const int child =
      ::clone(close_everything, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  if (connection < 0 || child < 0 || ::waitpid(child, nullptr, 0) != child) return 1;
  char room[64];
  const ssize_t size = ::read(connection, room, sizeof room);
  return size > 0 && ::write(connection, room, static_cast<std::size_t>(size)) == size ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "";
  if (std::strcmp(mode, "stdio") == 0) return end_beside_a_reader();
  if (std::strcmp(mode, "environment") == 0) return run_with_nothing();
  if (std::strcmp(mode, "clone") == 0 && argc > 2) return serve_beside_a_clone(std::atoi(argv[2]));
  std::fputs("usage: children stdio | environment | clone PORT\n", stderr);
  return 2;
}
