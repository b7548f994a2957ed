// ktls-bridge: the program; what it is told to do is in its command line.

#include <string>
#include <vector>

#include <sys/prctl.h>
#include <sys/resource.h>

#include "tools/ktls-bridge/command_line.h"
#include "tools/ktls-bridge/program.h"

namespace {

// This process holds private keys and traffic secrets: no core dump, and no ptrace by processes
// of the same user, which PR_SET_DUMPABLE forbids too.
void keep_memory_private() {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace

int main(int argc, char** argv) {
  tools::Program::remember_limits();
  tools::Program::remember_signals();
  keep_memory_private();
  return tools::run_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
