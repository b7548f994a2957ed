/* Shows what a TLS server sends; the broker verifies its certificate and does the handshake.
 *
 *   cc connect.c $(pkg-config --cflags --libs ktls-bridge-client) -o connect
 *   ./connect ADDRESS PORT NAME          ADDRESS: IPv4; NAME: what the certificate is to say
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ktls_bridge_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what) {
  fprintf(stderr, "%s: %s (%s)\n", what, strerror(errno), ktlsb_error_text());
  exit(1);
}

int main(int argc, char **argv) {
  static const char request[] = "GET / HTTP/1.0\r\n\r\n";
  struct sockaddr_in address = {.sin_family = AF_INET};
  char buffer[16384];
  ssize_t size;
  if (argc != 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) return 2;
  address.sin_port = htons((uint16_t)atoi(argv[2]));
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  if (ktlsb_connect(fd, argv[3], -1, NULL) != 0) fail("ktlsb_connect");
  if (write(fd, request, sizeof request - 1) < 0) fail("write");
  while ((size = ktlsb_read(fd, buffer, sizeof buffer)) > 0) {
    if (write(STDOUT_FILENO, buffer, (size_t)size) != size) fail("write");
  }
  if (size < 0) fail("ktlsb_read");
  return ktlsb_close(fd) == 0 ? 0 : 1;
}
