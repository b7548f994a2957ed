// A connection as a stream of stdio.
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/preload/socket_suite.h"

namespace suite {
namespace {

FILE* stream_of(int fd, const char* mode) {
  FILE* stream = ::fdopen(fd, mode);
  if (stream == nullptr) {
    give_up("fdopen");
  }
  return stream;
}

void lines() {
  const Pair pair = pair_of();
  FILE* stream = stream_of(pair.server, "r+");
  say("fileno", ::fileno(stream) == pair.server);
  write_all(pair.client, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\nbody");
  char room[64] = {};
  say("fgets", std::fgets(room, sizeof room, stream) != nullptr);
  say("line", std::string(room).substr(0, 3));
  char* line = nullptr;
  size_t size = 0;
  say("getline", ::getline(&line, &size, stream));
  say("getline", ::getline(&line, &size, stream));
  std::free(line);
  say("fread", long(std::fread(room, 1, 4, stream)));
  say("body", std::string(room, 4));
  say("fprintf", std::fprintf(stream, "HTTP/1.0 %d OK\r\n", 200));
  say("fflush", std::fflush(stream));
  say("client", read_some(pair.client, 17).substr(0, 12) == "HTTP/1.0 200");
  say("fclose", std::fclose(stream));
  say("end", long(read_all(pair.client).size()));
  char byte = 0;
  say("closed", outcome(::read(pair.server, &byte, 1)));
}

void two_streams() {
  const Pair pair = pair_of();
  FILE* in = stream_of(pair.server, "r");
  FILE* out = stream_of(::dup(pair.server), "w");
  say("numbers", ::fileno(in) == pair.server && ::fileno(out) != pair.server);
  ::setvbuf(out, nullptr, _IOLBF, 0);
  write_all(pair.client, "a line\n");
  char room[64] = {};
  say("fgets", std::fgets(room, sizeof room, in) != nullptr);
  std::fputs(room, out);
  say("echo", read_some(pair.client, 7) == "a line\n");
  say("fclose", std::fclose(in));
  std::fputs("still\n", out);
  say("still", read_some(pair.client, 6) == "still\n");
  say("fclose", std::fclose(out));
  say("end", long(read_all(pair.client).size()));
}

void large_streams() {
  const Pair pair = pair_of();
  const std::string data = pattern(11, 300'000);
  const pid_t pid = child([&] {
    FILE* out = stream_of(pair.client, "w");
    ::close(pair.server);
    const bool well = std::fwrite(data.data(), 1, data.size(), out) == data.size();
    return std::fclose(out) == 0 && well ? 0 : 1;
  });
  ::close(pair.client);
  FILE* in = stream_of(pair.server, "rb");
  std::string got(data.size() + 10, '\0');
  got.resize(std::fread(got.data(), 1, got.size(), in));
  say("bytes", long(got.size()));
  say("right", got == data);
  say("feof", std::feof(in) != 0);
  say("ferror", std::ferror(in) != 0);
  say("child", ending(pid));
}

void errors() {
  const Pair pair = pair_of();
  say("wrong_mode", ::fdopen(pair.client, "x") == nullptr ? error_name(errno) : "taken");
  set_blocking(pair.server, false);
  FILE* stream = stream_of(pair.server, "r");
  say("getc", std::getc(stream));
  say("errno", error_name(errno));
  say("ferror", std::ferror(stream) != 0);
  std::clearerr(stream);
  write_all(pair.client, "k");
  await(pair.server, POLLIN);
  say("getc", std::getc(stream));
  say("seek", outcome(::fseek(stream, 0, SEEK_SET)));
  say("reading_only", std::fputs("x", stream));
}

void unlocked_and_formatted() {
  const Pair pair = pair_of();
  FILE* stream = stream_of(pair.server, "r+");
  say("fileno_unlocked", ::fileno_unlocked(stream) == pair.server);
  write_all(pair.client, "17 apples\nxyz");
  char count[4] = "";
  char what[16] = "";
  say("fscanf", std::fscanf(stream, "%3s %15s", count, what));
  say("values", std::string(count) + what);
  say("newline", std::getc(stream));
  say("ungetc", std::ungetc('w', stream));
  char room[5] = {};
  say("fread", long(std::fread(room, 1, 4, stream)));
  say("data", room);
  say("dprintf", ::dprintf(pair.server, "%s-%d", "direct", 1));
  say("client", read_some(pair.client, 8));
}

}  // namespace

std::span<const Case> stdio_cases() {
  static constexpr Case kCases[] = {
      {"fdopen, lines and fclose", lines},
      {"a stream each way", two_streams},
      {"300 kB through streams", large_streams},
      {"errors of streams", errors},
      {"fscanf, ungetc and dprintf", unlocked_and_formatted},
  };
  return kCases;
}

}  // namespace suite
