// StandingHolders: those who have a socket stand still while its key is changed.
#pragma once

#include <string>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "userspace/bridge/sender.h"
#include "userspace/broker/holders.h"
#include "userspace/io/loop.h"

namespace bridge {

class StandingHolders final : public OutsideWriters {
 public:
  // Of a program that was started here. Borrows the loop and `fd`. `group`: see broker::Holders.
  StandingHolders(Loop& loop, int fd, pid_t group)
      : loop_(loop), expected_(Expected::kPerhapsNobody), holders_(fd, group) {}
  // Of a program of that user, which was there before.
  StandingHolders(Loop& loop, int fd, uid_t user)
      : loop_(loop), expected_(Expected::kSomebody), holders_(fd, 0, user) {}

  [[nodiscard]] Task<ktls::Result<void>> hold(Scope& scope) override;
  void release() override { holders_.resume(); }

  [[nodiscard]] bool any() const { return holders_.any_in_group(); }

 private:
  // Whether there has to be somebody: where there is, and none is found, they could not be looked
  // at.
  enum class Expected : bool { kPerhapsNobody, kSomebody };

  Loop& loop_;
  Expected expected_;
  broker::Holders holders_;
};

}  // namespace bridge
