// The program: socket_suite PORT,PORT,PORT,PORT [NAME...] runs its cases, one line for each.
#include <cstdio>
#include <cstring>

#include "tests/preload/socket_suite.h"

namespace {

using suite::Case;

constexpr std::span<const Case> (*kFiles[])() = {
    suite::connect_cases, suite::wait_cases,     suite::listener_cases, suite::data_cases,
    suite::option_cases,  suite::transfer_cases, suite::program_cases,  suite::share_cases,
    suite::stdio_cases,   suite::event_cases,
};

bool wanted(std::span<char* const> names, const char* name) {
  bool found = names.empty();
  for (const char* each : names) {
    found = found || std::strcmp(each, name) == 0;
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char* const> words(argv, size_t(argc));
  if (argc > 1 && std::strcmp(argv[1], suite::kAnotherProgram) == 0) {
    return suite::be_another_program(words.subspan(2));
  }
  if (argc < 2) {
    std::fputs("usage: socket_suite PORT,PORT,PORT,PORT [NAME...]\n", stderr);
    return 2;
  }
  suite::read_ports(argv[1]);
  bool well = true;
  for (const auto file : kFiles) {
    for (const Case& each : file()) {
      if (wanted(words.subspan(2), each.name)) {
        well = suite::run_case(each) && well;
      }
    }
  }
  return well ? 0 : 1;
}
