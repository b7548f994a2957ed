// What the tests of single symbols are made of. Each calls its function by the pointer that the
// dynamic linker has for the name, so that it is that very symbol which is called, whatever the
// compiler would have made of a call, and on each kind of descriptor that it can meet.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "tests/preload/socket_suite.h"

namespace symbols {

std::span<const suite::Case> asking();
std::span<const suite::Case> descriptors();
std::span<const suite::Case> making();
std::span<const suite::Case> processes();
std::span<const suite::Case> reading();
std::span<const suite::Case> waiting();
std::span<const suite::Case> writing();

// Whether this process is under the shim.
bool wrapped();

// Adds to the line what was wrong; nothing where it was right.
void check(std::string_view what, bool right);
void check_equal(std::string_view what, std::string_view is, std::string_view expected);

void set_current(const char* name);
void* find_current();

// The function of the case's name; `declared` says what its type is.
template <typename Function>
Function* the(Function* declared) {
  static_cast<void>(declared);
  return reinterpret_cast<Function*>(find_current());
}

template <typename Function>
Function* the() {
  return reinterpret_cast<Function*>(find_current());
}

// Both ends, and the listener, until the end of a scope. What is closed before is closed in vain.
struct Connection : suite::Pair {
  explicit Connection(int index = 0) : Pair(suite::pair_of(index)) {}
  ~Connection() { suite::close_pair(*this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
};

// Two connected Unix sockets, or the two ends of a pipe, which are no business of the shim.
struct Ends {
  int in = -1;
  int out = -1;
};
Ends unix_pair();
Ends pipe_pair();

// The client's side of a connection whose other side is served by kAnotherProgram.
void check_served(int client, pid_t program);

}  // namespace symbols
