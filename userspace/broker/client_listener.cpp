// ktlsb_listener: a listening socket whose connections come from the broker, after their
// handshakes.
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/broker/client_connection.h"
#include "userspace/broker/client_error.h"
#include "userspace/broker/client_message.h"
#include "userspace/broker/ktls_bridge_client.h"

// What is not `lock` is this process's own after fork.
//   lock           of taking from the channel and of replacing it; shared by the processes that
//                  fork made, for they share the channel
//   socket         our copy of the listening socket, for the next broker
//   channel        where connections arrive; the number that the caller waits on
//   is_registered  the broker at the other end of `channel` is there, as far as is known
//   owner          the process that registered
struct ktlsb_listener {
  pthread_mutex_t* lock;
  int socket;
  int channel;
  unsigned backlog;
  bool is_registered;
  pid_t owner;
};

namespace broker {
namespace {

// How long a call looks for a broker that is being started or restarted.
constexpr int kRestartTimeoutMs = 1000;
constexpr int kRestartPauseMs = 20;
// What a broker may take to note a listener, and to close one.
constexpr int kRegisterTimeoutMs = 5000;
constexpr int kStopTimeoutMs = 5000;

pthread_mutex_t* make_lock() {
  // Threads and forked processes wait for one another here, never while anything is waited for.
  void* page = ::mmap(nullptr, sizeof(pthread_mutex_t), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return nullptr;
  auto* lock = static_cast<pthread_mutex_t*>(page);
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(lock, &attributes);
  ::pthread_mutexattr_destroy(&attributes);
  return lock;
}

class Locked {
 public:
  explicit Locked(pthread_mutex_t* lock) : lock_(lock) {
    // A process that was killed meanwhile has left nothing half done: a message is in the queue or
    // it is not.
    if (::pthread_mutex_lock(lock_) == EOWNERDEAD) ::pthread_mutex_consistent(lock_);
  }
  ~Locked() { ::pthread_mutex_unlock(lock_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  pthread_mutex_t* lock_;
};

// The new channel takes the old one's number.
int adopt_channel(ktlsb_listener& listener, ktls::UniqueFd fresh) {
  if (listener.channel < 0) {
    listener.channel = fresh.release();
  } else {
    ::fcntl(fresh.get(), F_SETFL, ::fcntl(listener.channel, F_GETFL));
    const int cloexec = (::fcntl(listener.channel, F_GETFD) & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
    while (::dup3(fresh.get(), listener.channel, cloexec) < 0) {
      if (errno != EINTR && errno != EBUSY) return errno;
    }
  }
  listener.is_registered = true;
  listener.owner = ::getpid();
  return 0;
}

// One attempt. 0, or an errno, of which fail() has been told.
int register_once(ktlsb_listener& listener) {
  Request request;
  request.header.kind = Kind::kListen;
  request.backlog = listener.backlog;
  Call call;
  if (const int error = place_call(request, {}, listener.socket, Deadline::in_ms(0), call);
      error != 0) {
    return error;
  }
  const Arrived arrived = await_answer(call.answers.get(), Deadline::in_ms(kRegisterTimeoutMs));
  switch (arrived.arrival) {
    case Arrival::kMessage:
      if (arrived.answer.header.kind == Kind::kDone) {
        return adopt_channel(listener, std::move(call.answers));
      }
      if (arrived.answer.header.kind == Kind::kError) {
        fail(arrived.answer);
        return errno;
      }
      break;
    case Arrival::kGone:
      fail(ECONNREFUSED, "broker_gone", {"the broker ended before it noted the listening socket"});
      return ECONNREFUSED;
    case Arrival::kNone:
      fail(ETIMEDOUT, "", {"the broker did not answer about the listening socket"});
      return ETIMEDOUT;
    default:
      break;
  }
  fail(EPROTO, "", {"the broker's answer about the listening socket made no sense"});
  return EPROTO;
}

// Tries for about a second; other threads and processes get their turns in between.
int register_patiently(ktlsb_listener& listener) {
  const Deadline deadline = Deadline::in_ms(kRestartTimeoutMs);
  int error = 0;
  do {
    const Locked locked(listener.lock);
    if (listener.is_registered) return 0;
    error = register_once(listener);
    if (error == 0) return 0;
  } while (error == ECONNREFUSED && deadline.pause(kRestartPauseMs));
  errno = error;
  return error;
}

// The next message, with its descriptor or not at all: it is taken out of the queue only once its
// descriptor is here.
Arrived take_next(const ktlsb_listener& listener) {
  Arrived next = receive(listener.channel, Take::kPeek);
  if (next.arrival != Arrival::kMessage && next.arrival != Arrival::kMalformed) return next;
  const Arrived taken = receive(listener.channel, Take::kDrop);
  if (next.arrival == Arrival::kMessage && taken.answer.number != next.answer.number) {
    // Somebody takes from the channel who does not hold the lock.
    next.arrival = Arrival::kMalformed;
  }
  const Kind kind = next.answer.header.kind;
  if (kind == Kind::kDone || (kind == Kind::kConnection && !next.fd)) {
    next.arrival = Arrival::kMalformed;
  }
  return next;
}

int settle(ktlsb_listener& listener, Arrived arrived, ktlsb_connection* info) {
  const Answer& answer = arrived.answer;
  if (arrived.arrival == Arrival::kNoDescriptor) {
    return fail(EMFILE, "", {"no descriptor is left for a connection, which goes on waiting"});
  }
  if (arrived.arrival == Arrival::kGone) {
    return fail(ECONNABORTED, "broker_gone", {"the broker has ended"});
  }
  if (arrived.arrival == Arrival::kMalformed) {
    return fail(EPROTO, "", {"the broker's message made no sense"});
  }
  if (answer.header.kind == Kind::kError) return fail(answer);
  // Where it cannot be told the broker is gone, which the next call sees.
  tell(listener.channel, Kind::kTaken, answer.number);
  const int status = ::fcntl(arrived.fd.get(), F_GETFL);
  if ((status & O_NONBLOCK) != 0) ::fcntl(arrived.fd.get(), F_SETFL, status & ~O_NONBLOCK);
  describe(answer, info);
  return arrived.fd.release();
}

// Whether the broker said that its copy of the socket is closed.
bool stop(const ktlsb_listener& listener) {
  if (!tell(listener.channel, Kind::kStop, 0)) return true;  // it is gone, and its copy as well
  const Deadline deadline = Deadline::in_ms(kStopTimeoutMs);
  for (;;) {
    // Connections on the way are closed here.
    const Arrived arrived = await_answer(listener.channel, deadline);
    if (arrived.arrival == Arrival::kGone) return true;
    if (arrived.arrival == Arrival::kNone) return false;
    if (arrived.arrival == Arrival::kMessage && arrived.answer.header.kind == Kind::kDone) {
      return true;
    }
    if (deadline.left_ms() == 0) return false;
  }
}

void free_listener(ktlsb_listener* listener) {
  if (listener->channel >= 0) ::close(listener->channel);
  if (listener->socket >= 0) ::close(listener->socket);
  // Other processes have mappings of their own.
  if (listener->lock != nullptr) ::munmap(listener->lock, sizeof *listener->lock);
  std::free(listener);
}

bool is_listening(int fd) {
  int answer = 0;
  socklen_t size = sizeof answer;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &answer, &size) == 0 && answer != 0;
}

}  // namespace
}  // namespace broker

ktlsb_listener* ktlsb_listen(int listening_fd, unsigned backlog) {
  if (backlog == 0 || !broker::is_listening(listening_fd)) {
    broker::fail(EINVAL, "", {"a listening socket and a backlog of 1 or more are needed"});
    return nullptr;
  }
  auto* listener = static_cast<ktlsb_listener*>(std::malloc(sizeof(ktlsb_listener)));
  if (listener == nullptr) {
    broker::fail(ENOMEM, "", {"no memory for a listener"});
    return nullptr;
  }
  *listener = {.lock = broker::make_lock(),
               .socket = ::fcntl(listening_fd, F_DUPFD_CLOEXEC, 0),
               .channel = -1,
               .backlog = backlog,
               .is_registered = false,
               .owner = ::getpid()};
  int error = errno;
  if (listener->lock == nullptr || listener->socket < 0) {
    broker::fail(error, "", {"no memory or no descriptor for a listener"});
  } else {
    error = broker::register_patiently(*listener);
    if (error == 0) return listener;
  }
  broker::free_listener(listener);
  errno = error;
  return nullptr;
}

int ktlsb_listener_fd(const ktlsb_listener* listener) {
  return listener->channel;
}

int ktlsb_accept(ktlsb_listener* listener, ktlsb_connection* info) {
  if (!broker::has_room(info)) {
    return broker::fail(EINVAL, "", {"the size of ktlsb_connection is not set"});
  }
  for (;;) {
    if (broker::register_patiently(*listener) != 0) return -1;
    broker::Arrived arrived;
    {
      const broker::Locked locked(listener->lock);
      arrived = broker::take_next(*listener);
      const bool is_lost = arrived.arrival == broker::Arrival::kGone ||
                           arrived.arrival == broker::Arrival::kMalformed;
      if (is_lost) listener->is_registered = false;
    }
    if (arrived.arrival != broker::Arrival::kNone) {
      return broker::settle(*listener, std::move(arrived), info);
    }
    if ((::fcntl(listener->channel, F_GETFL) & O_NONBLOCK) != 0) {
      errno = EAGAIN;
      return -1;
    }
    pollfd wanted{listener->channel, POLLIN, 0};
    if (::poll(&wanted, 1, -1) < 0) return -1;
  }
}

int ktlsb_listener_close(ktlsb_listener* listener) {
  if (listener == nullptr) return 0;
  const bool is_owner = listener->owner == ::getpid();
  const bool is_stopped = !is_owner || !listener->is_registered || broker::stop(*listener);
  broker::free_listener(listener);
  if (is_stopped) return 0;
  return broker::fail(ETIMEDOUT, "", {"the broker did not say that it has stopped listening"});
}
