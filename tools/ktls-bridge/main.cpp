// ktls-bridge: the program; what it is told to do is in its command line.

#include <string>
#include <vector>

#include "tools/hardening/core_dump.h"
#include "tools/ktls-bridge/command_line.h"
#include "tools/ktls-bridge/program.h"

int main(int argc, char** argv) {
  tools::Program::remember_limits();
  tools::Program::remember_signals();
  tools::forbid_core_dumps();  // this process holds private keys and traffic secrets
  return tools::run_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
