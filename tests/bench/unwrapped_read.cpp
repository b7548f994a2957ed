// What a read of a descriptor costs that has nothing to do with TLS: a byte of /dev/zero, so that
// the kernel has as little to do as there is.
//
//   unwrapped_read [CALLS]   prints nanoseconds a call
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const long calls = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1'000'000;
  const int zero = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  if (calls <= 0 || zero < 0) {
    std::fputs("usage: unwrapped_read [CALLS]\n", stderr);
    return 2;
  }
  char byte = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (long i = 0; i < calls; ++i) {
    if (::read(zero, &byte, sizeof byte) != sizeof byte) return 1;
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.2f\n", took.count() / static_cast<double>(calls));
  ::close(zero);
  return 0;
}
