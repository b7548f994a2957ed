// KeyWatch: changes the key of a socket that others write to, when the peer or the key's budget
// asks for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "userspace/bridge/sender.h"
#include "userspace/io/loop.h"

namespace bridge {

// Borrows the loop and the sender, which shares its socket (Sender::share_with).
class KeyWatch {
 public:
  // `limit`: record_limit() of the connection.
  KeyWatch(Loop& loop, Sender& sender, std::uint64_t limit)
      : loop_(loop), sender_(sender), limit_(limit) {}

  // Until the scope ends, or a key cannot be changed that has to be. How many records others have
  // sealed is read now and then, and the more often the faster they are. At half of what a key may
  // seal it is changed; where that is too soon after the last time (KeyPolicy::update_interval),
  // they are held when an eighth is left, until it is not. Errors: those of Sender::update_key()
  // and replace_key(); kKeyBudgetSpent where the key cannot be changed, with an eighth left, and
  // where they were too fast for the one who reads.
  [[nodiscard]] Task<ktls::Result<void>> run(Scope& scope);

  // The peer asked for a KeyUpdate, and it may be owed.
  void wake();

 private:
  [[nodiscard]] bool is_limited() const;
  // Whoever receives could not send it without waiting; here it can be waited for.
  [[nodiscard]] Task<ktls::Result<void>> send_owed_update(Scope& scope);
  [[nodiscard]] Task<ktls::Result<void>> keep_to_limit(Scope& scope);
  // Until an eighth of the limit may have been used, at the present pace.
  [[nodiscard]] std::chrono::milliseconds next_pause(std::uint64_t left);

  Loop& loop_;
  Sender& sender_;
  std::uint64_t limit_;
  std::chrono::milliseconds pause_{0};        // the last one
  std::optional<std::uint64_t> left_before_;  // at its beginning; none: the key is new
  Scope* nap_ = nullptr;
};

}  // namespace bridge
