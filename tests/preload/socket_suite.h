// What the cases of the socket suite are made of. A case runs in a process of its own, uses sockets
// in the ways that its name says, and tells in one line what came of it: of values, names of
// errors, numbers of bytes and hashes, so that the line is the same wherever sockets do the same.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace suite {

struct Case {
  const char* name;
  void (*run)();
};

// One function for each file of cases.
std::span<const Case> connect_cases();
std::span<const Case> data_cases();
std::span<const Case> event_cases();
std::span<const Case> listener_cases();
std::span<const Case> option_cases();
std::span<const Case> program_cases();
std::span<const Case> share_cases();
std::span<const Case> stdio_cases();
std::span<const Case> transfer_cases();
std::span<const Case> wait_cases();

// For what a machine that is busy does at once.
inline constexpr int kPatienceMs = 10'000;

// The ports that the suite was given: those to listen on, and one without a listener for TLS.
inline constexpr int kPorts = 3;
int port(int index);
int unserved_port();
// Listens there until the process ends; the queue holds two.
void listen_without_accepting();
// From "PORT,PORT,PORT,PORT".
void read_ports(const char* text);

// Adds ` what=value` to the line of this case.
void say(std::string_view what, std::string_view value);
void say(std::string_view what, long value);
// Ends the case, which could not do what it is about.
[[noreturn]] void give_up(std::string_view what);
// What a child process says as its exit status, without the buffers of its parent.
[[noreturn]] void leave(int status);
// Runs one of them as the process that it is; the line goes to standard output.
bool run_case(const Case& one);

// "0" or the name of an error, of the call just made: `result` is what it answered.
std::string outcome(long result);
std::string error_name(int number);
// Ends the case where the call just made failed; answers what it answered otherwise.
int must(long result, std::string_view what);

int tcp_socket(int family, int flags = 0);
// On a port of `index`; of IPv6 also where the address is IPv4's, if `dual`.
void bind_to(int fd, int index, int family, bool dual = false);
int listener(int index = 0, int flags = 0, int backlog = 128);
// Looks the name up as programs do, and connects; answers what connect() answered.
int start_connect(int fd, int family, int to_port, const char* name = "localhost");
int connected(int index = 0);

struct Pair {
  int listener = -1;
  int client = -1;
  int server = -1;
};
// A connection with both of its ends in this process.
Pair pair_of(int index = 0);
void close_pair(const Pair& pair);

void set_blocking(int fd, bool blocking);
// Waits for one of `events`, and answers what poll says then. 0: nothing came.
short await(int fd, short events, int timeout_ms = kPatienceMs);
std::string poll_names(short events);
std::string epoll_names(unsigned events);

// `size` bytes that no other seed has.
std::string pattern(unsigned seed, size_t size);
std::string hash(std::string_view data);
bool write_all(int fd, std::string_view data);
// What came before the end, or an error, or `size` bytes.
std::string read_some(int fd, size_t size);
std::string read_all(int fd);
// A line of the same on the other side, both ways; "both ways" or what went wrong.
std::string talk(int one, int other);

// A child that runs this and exits with what it answers.
pid_t child(const std::function<int()>& run);
// "exit N", "signal N".
std::string ending(pid_t pid);

// What another program of this suite, started with the words, does.
inline constexpr const char* kAnotherProgram = "--another";
int be_another_program(std::span<char* const> words);
// As that does with a listener: one connection, whose question of 8 bytes is answered.
int serve_listener(int fd);
std::string own_path();

}  // namespace suite
