// Handshakes: those under way, and which of them has to go when there are too many.
#pragma once

#include <cstddef>
#include <list>

#include "tools/ktls-bridge/phase.h"

namespace tools {

// A peer that connects and says nothing must not keep others out, so there is always room for one
// more: at the limit the oldest handshake is ended whose peer has sent nothing; where all have sent
// something, the oldest at all.
class Handshakes {
 public:
  explicit Handshakes(std::size_t max) : max_(max) {}
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  // One handshake, for as long as it lives. Borrows `cancellation` and the socket `fd`.
  class UnderWay {
   public:
    UnderWay(Handshakes& handshakes, Cancellation& cancellation, int fd);
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;
    ~UnderWay();

   private:
    friend class Handshakes;

    Handshakes& handshakes_;
    Cancellation& cancellation_;
    int fd_;
    std::list<UnderWay*>::iterator place_;
  };

  [[nodiscard]] std::size_t size() const { return under_way_.size(); }

 private:
  void drop_one();

  std::size_t max_;
  std::list<UnderWay*> under_way_;  // the oldest first; those that were ended have left it
};

}  // namespace tools
