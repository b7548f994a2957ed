#include "tools/preload/wrapped.h"

#include <cerrno>
#include <new>

#include <pthread.h>
#include <sys/mman.h>

namespace preload {

std::array<std::atomic<Page*>, (kDescriptorMax >> kPageBits)> g_pages;
std::array<std::atomic<unsigned>, 8> g_counts;

namespace {

// So many objects come from the system at a time.
constexpr std::size_t kChunk = 128;

pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
Wrapped* g_free = nullptr;
thread_local sigset_t t_before_fork;

void* map(std::size_t size) {
  void* const room =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return room == MAP_FAILED ? nullptr : room;
}

void lock_without_signals(sigset_t& before) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  ::pthread_mutex_lock(&g_lock);
}

void unlock_with_signals(const sigset_t& before) {
  ::pthread_mutex_unlock(&g_lock);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::atomic<unsigned>& counter(Kind kind) {
  return g_counts[static_cast<std::size_t>(kind)];
}

bool has_more_objects() {
  if (g_free != nullptr) return true;
  void* const room = map(sizeof(Wrapped) * kChunk);
  if (room == nullptr) return false;
  auto* const objects = static_cast<Wrapped*>(room);
  for (std::size_t i = 0; i < kChunk; ++i) {
    Wrapped* const object = new (objects + i) Wrapped;
    object->next_free = g_free;
    g_free = object;
  }
  return true;
}

Page* page_of(unsigned number) {
  std::atomic<Page*>& page = g_pages[number >> kPageBits];
  if (page.load() == nullptr) {
    void* const room = map(sizeof(Page));
    if (room != nullptr) page.store(new (room) Page{}, std::memory_order_release);
  }
  return page.load();
}

}  // namespace

Changing::Changing() {
  lock_without_signals(before_);
}

Changing::~Changing() {
  const int error = errno;
  unlock_with_signals(before_);
  errno = error;
}

Wrapped* make(Kind kind) {
  if (!has_more_objects()) return nullptr;
  Wrapped* const object = g_free;
  g_free = object->next_free;
  object->~Wrapped();
  new (object) Wrapped;
  object->kind.store(kind, std::memory_order_release);
  ++counter(kind);
  return object;
}

void change_kind(Wrapped& wrapped, Kind kind) {
  --counter(kind_of(wrapped));
  ++counter(kind);
  wrapped.kind.store(kind, std::memory_order_release);
}

bool enter(int fd, Wrapped& wrapped) {
  const auto number = static_cast<unsigned>(fd);
  if (number >= kDescriptorMax) return false;
  Page* const page = page_of(number);
  if (page == nullptr) return false;
  ++wrapped.descriptors;
  (*page)[number & ((1U << kPageBits) - 1)].store(&wrapped, std::memory_order_release);
  return true;
}

Wrapped* leave(int fd) {
  Wrapped* const wrapped = find(fd);
  if (wrapped == nullptr) return nullptr;
  const auto number = static_cast<unsigned>(fd);
  (*page_of(number))[number & ((1U << kPageBits) - 1)].store(nullptr, std::memory_order_release);
  --wrapped->descriptors;
  return wrapped;
}

void discard(Wrapped& wrapped) {
  --counter(kind_of(wrapped));
  wrapped.next_free = g_free;
  g_free = &wrapped;
}

void hold_lock() {
  sigset_t before;
  lock_without_signals(before);
  t_before_fork = before;
}

void release_lock() {
  const sigset_t before = t_before_fork;
  unlock_with_signals(before);
}

ErrnoKept::ErrnoKept() : before_(errno) {}

ErrnoKept::~ErrnoKept() {
  errno = before_;
}

ErrnoOnSuccess::ErrnoOnSuccess() : before_(errno) {}

int ErrnoOnSuccess::answer(int result) const {
  if (result >= 0) errno = before_;
  return result;
}

}  // namespace preload
