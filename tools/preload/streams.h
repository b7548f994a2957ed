// stdio streams of connections. What a FILE reads and writes by itself cannot be stood in front of,
// so such a stream is one of fopencookie(3), whose functions are the shim's.
#pragma once

#include <cstdio>

namespace preload {

// As fdopen(3). Null and errno.
std::FILE* open_stream(int fd, const char* mode);
// The number of a stream of the above; -1: it is none.
[[nodiscard]] int number_of(std::FILE* stream);

// The program was started with connections as its standard input, output or error output: what
// stdio knows by these names is replaced. Before the program runs.
void adopt_standard_streams();

// Has them write what they have buffered, for exit(3) does so only when connections have ended. A
// stream that another thread is using is left alone: it may be waiting in it for ever.
void flush_streams();

}  // namespace preload
