// StandingHolders: those who have a socket stand still while its key is changed.
#pragma once

#include <string>

#include <sys/types.h>

#include "ktls/base/result.h"
#include "userspace/bridge/sender.h"
#include "userspace/broker/holders.h"
#include "userspace/io/loop.h"

namespace bridge {

// Whether there has to be somebody: where there is, and none is found, they could not be looked at.
enum class Expected : bool { kPerhapsNobody, kSomebody };

class StandingHolders final : public OutsideWriters {
 public:
  // Borrows the loop and `fd`. `group`: see broker::Holders.
  StandingHolders(Loop& loop, int fd, pid_t group, Expected expected = Expected::kPerhapsNobody)
      : loop_(loop), expected_(expected), holders_(fd, group) {}

  [[nodiscard]] Task<ktls::Result<void>> hold(Scope& scope) override;
  void release() override { holders_.resume(); }

  [[nodiscard]] bool any() const { return holders_.any_in_group(); }

 private:
  Loop& loop_;
  Expected expected_;
  broker::Holders holders_;
};

}  // namespace bridge
