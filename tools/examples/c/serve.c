/* Sends a file to all who connect, by TLS and without a key: a process for each of them.
 *
 *   cc serve.c $(pkg-config --cflags --libs ktls-bridge-client) -o serve
 *   ./serve PORT FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <ktls_bridge_client.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

static void fail(const char *what) {
  fprintf(stderr, "%s: %s (%s)\n", what, strerror(errno), ktlsb_error_text());
  exit(1);
}

static void send_file(int fd, const char *path) {
  char rest[4096];
  ssize_t size;
  int file = open(path, O_RDONLY);
  while ((size = sendfile(fd, file, NULL, 1 << 20)) > 0) continue;
  if (size < 0) fail(path);
  if (ktlsb_shutdown_write(fd) != 0) fail("ktlsb_shutdown_write");
  while (ktlsb_read(fd, rest, sizeof rest) > 0) continue; /* the request, and the client's end */
  exit(0);
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  int on = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
  if (argc != 3) return 2;
  signal(SIGCHLD, SIG_IGN);
  address.sin_port = htons((uint16_t)atoi(argv[1]));
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listening, (struct sockaddr *)&address, size) != 0) fail("bind");
  if (listen(listening, 128) != 0) fail("listen");
  ktlsb_listener *listener = ktlsb_listen(listening, 16);
  if (listener == NULL) fail("ktlsb_listen");
  getsockname(listening, (struct sockaddr *)&address, &size);
  printf("serving on port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int fd = ktlsb_accept(listener, NULL);
    if (fd < 0 && errno != ECONNABORTED && errno != ECONNREFUSED) fail("ktlsb_accept");
    if (fd < 0) continue; /* the broker is being restarted */
    if (fork() == 0) send_file(fd, argv[2]);
    close(fd);
  }
}
