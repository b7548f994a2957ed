#include "tools/preload/streams.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/preload/ours.h"
#include "tools/preload/reading.h"

namespace preload {
namespace {

// Nodes are never given back, for who looks for a stream takes no lock; a stream that is closed
// leaves its node to the next one.
//   stream  null: the node is free; kTaken: whoever opens a stream is about to fill it
struct Node {
  std::atomic<std::FILE*> stream = nullptr;
  int fd = -1;
  Node* next = nullptr;
};

std::atomic<Node*> g_nodes = nullptr;
std::atomic<unsigned> g_open = 0;
// So many come from the system at a time.
constexpr std::size_t kChunk = 64;
char g_taken_mark = 0;

std::FILE* taken_mark() {
  return reinterpret_cast<std::FILE*>(&g_taken_mark);
}

Node* take_free_node() {
  for (Node* node = g_nodes.load(); node != nullptr; node = node->next) {
    std::FILE* none = nullptr;
    if (node->stream.compare_exchange_strong(none, taken_mark())) return node;
  }
  return nullptr;
}

bool has_more_nodes() {
  void* const room = ::mmap(nullptr, sizeof(Node) * kChunk, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) return false;
  auto* const nodes = static_cast<Node*>(room);
  for (std::size_t i = 0; i < kChunk; ++i) {
    new (nodes + i) Node;
    if (i > 0) nodes[i].next = nodes + i - 1;
  }
  nodes[0].next = g_nodes.load();
  while (!g_nodes.compare_exchange_weak(nodes[0].next, nodes + kChunk - 1)) {
  }
  return true;
}

Node* take_node() {
  Node* const node = take_free_node();
  if (node != nullptr || !has_more_nodes()) return node;
  return take_free_node();
}

ssize_t read_stream(void* cookie, char* buffer, std::size_t size) {
  return __real_read(static_cast<Node*>(cookie)->fd, buffer, size);
}

// A cookie stream takes 0 for a failure, and wants all of it as fwrite(3) does.
ssize_t write_stream(void* cookie, const char* buffer, std::size_t size) {
  const int fd = static_cast<Node*>(cookie)->fd;
  std::size_t total = 0;
  while (total < size) {
    const ssize_t written = __real_write(fd, buffer + total, size - total);
    if (written <= 0) break;
    total += static_cast<std::size_t>(written);
  }
  return static_cast<ssize_t>(total);
}

// As of a socket: stdio lives with that.
int seek_stream(void* /*cookie*/, off64_t* /*offset*/, int /*whence*/) {
  errno = ESPIPE;
  return -1;
}

int close_stream(void* cookie) {
  auto* const node = static_cast<Node*>(cookie);
  const int fd = node->fd;
  --g_open;
  node->stream.store(nullptr);
  return __real_close(fd);
}

// Whether `mode` asks for what the descriptor can do; else fdopen(3) fails with EINVAL.
bool is_allowed(int status, const char* mode) {
  const int access = status & O_ACCMODE;
  bool is_both = false;
  for (const char* each = mode + 1; *each != '\0' && *each != ','; ++each) {
    if (*each == '+') is_both = true;
  }
  if (access == O_RDWR) return true;
  if (is_both) return false;
  return mode[0] == 'r' ? access == O_RDONLY : access == O_WRONLY;
}

// A stream that is already in use: replaced, as stdio lets its own three be.
void adopt(int fd, const char* mode, std::FILE*& stream) {
  const Wrapped* const wrapped = find_minded(fd);
  if (wrapped == nullptr) return;
  std::FILE* const ours = open_stream(fd, mode);
  if (ours != nullptr) stream = ours;
}

void flush(std::FILE* stream) {
  if (::ftrylockfile(stream) != 0) return;
  std::fflush(stream);
  ::funlockfile(stream);
}

}  // namespace

std::FILE* open_stream(int fd, const char* mode) {
  const int status = ::fcntl(fd, F_GETFL);
  if (status < 0) return nullptr;
  if (!is_allowed(status, mode)) {
    errno = EINVAL;
    return nullptr;
  }
  Node* const node = take_node();
  if (node == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  node->fd = fd;
  const cookie_io_functions_t functions{read_stream, write_stream, seek_stream, close_stream};
  std::FILE* const stream = ::fopencookie(node, mode, functions);
  if (stream != nullptr) ++g_open;
  node->stream.store(stream);
  return stream;
}

void flush_streams() {
  for (const Node* node = g_nodes.load(); node != nullptr; node = node->next) {
    std::FILE* const stream = node->stream.load();
    if (stream != nullptr && stream != taken_mark()) flush(stream);
  }
  // A connection may have taken their numbers since (dup2).
  for (std::FILE* const standard : {stdout, stderr}) {
    if (standard != nullptr && find_minded(::fileno(standard)) != nullptr) flush(standard);
  }
}

int number_of(std::FILE* stream) {
  if (g_open.load(std::memory_order_relaxed) == 0) return -1;
  for (const Node* node = g_nodes.load(); node != nullptr; node = node->next) {
    if (node->stream.load() == stream) return node->fd;
  }
  return -1;
}

void adopt_standard_streams() {
  adopt(STDIN_FILENO, "r", stdin);
  adopt(STDOUT_FILENO, "w", stdout);
  adopt(STDERR_FILENO, "w", stderr);
  // What is said there is not to wait for more.
  if (number_of(stderr) == STDERR_FILENO) std::setvbuf(stderr, nullptr, _IONBF, 0);
}

}  // namespace preload
