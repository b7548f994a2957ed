// The client's half of the protocol: requests to the broker, and its answers, with descriptors.
#pragma once

#include <cstdint>
#include <span>

#include "ktls/base/unique_fd.h"
#include "userspace/broker/protocol.h"

namespace broker {

// A moment of the monotonic clock.
class Deadline {
 public:
  static Deadline in_ms(int timeout_ms);
  [[nodiscard]] int left_ms() const;  // 0 when it is over
  // Sleeps, at most until then. False when it is over.
  [[nodiscard]] bool pause(int pause_ms) const;

 private:
  std::int64_t at_ms_ = 0;
};

// Waits for poll's `events`, an error or a hang-up. False: the deadline is over.
[[nodiscard]] bool wait_for(int fd, short events, const Deadline& deadline);

// Where the broker is: ktlsb_use_broker()'s path, or the environment's, or the default. Never null.
[[nodiscard]] const char* broker_path();

// From now on requests go over `fd`, an open channel to a broker that is borrowed for ever, instead
// of one that is connected for each. Where nobody is at its other end any more, and a path was
// chosen or stands in the environment, that is where the next broker is.
void use_channel(int fd);

// A request under way. The channel is open until the answer is there, for the broker judges a
// request by who is at the other end. `theirs`: the other end of `answers` until the broker has it,
// which is for callers that need `answers` before they ask.
struct Call {
  ktls::UniqueFd channel;
  ktls::UniqueFd answers;
  ktls::UniqueFd theirs;
};

// Makes `answers` and `theirs`, unless they are there. 0, or an errno.
[[nodiscard]] int prepare_call(Call& call);

// Sends a request about the descriptor `subject`. While nobody listens tries again until the
// deadline, at least once; a queue that is full is waited for a moment, whatever that is. 0, or an
// errno, of which fail() has been told: then the broker has nothing.
[[nodiscard]] int place_call(Request request, std::span<const std::uint8_t> payload, int subject,
                             const Deadline& deadline, Call& call);

// kMessage       `answer`, one of this version; a descriptor with kConnection, if any
// kNone          nothing is there, though there may be
// kNoDescriptor  its descriptor could not be made in this process, which has no more
// kGone          the other end is closed
// kMalformed     what came is no answer; descriptors that came with it are closed
enum class Arrival : std::uint8_t { kMessage, kNone, kNoDescriptor, kGone, kMalformed };

struct Arrived {
  Arrival arrival = Arrival::kNone;
  Answer answer{};
  ktls::UniqueFd fd;
};

// What is next, without waiting. kPeek leaves the message in the queue, of which `fd` is a copy
// then; kDrop takes it without its descriptors.
enum class Take : std::uint8_t { kWhole, kPeek, kDrop };
[[nodiscard]] Arrived receive(int answers, Take take);

// Waits for the answer to a request. kNone: the deadline is over.
[[nodiscard]] Arrived await_answer(int answers, const Deadline& deadline);

// Sends a message without descriptors on the socket of kListen. False: the broker does not take it.
bool tell(int answers, Kind kind, std::uint64_t number);

}  // namespace broker
