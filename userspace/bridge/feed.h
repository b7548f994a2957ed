// Feed: the stream that a program reads application data from, and which tells it of a reset.
#pragma once

#include "ktls/base/result.h"
#include "ktls/base/unique_fd.h"

namespace bridge {

// Two ends of a unix stream socket. Its reader has ECONNRESET, and not the end of file, where our
// end closes with something unread, whoever closes it: so there is one byte in it from the start
// that nobody reads. Who ends a feed in order takes it out first.
struct Feed {
  ktls::UniqueFd ours;
  ktls::UniqueFd theirs;
};
// Error: kSystem.
[[nodiscard]] ktls::Result<Feed> make_feed();

// Takes out that byte, and whatever a program wrote to what it is to read from.
void empty_feed(int ours);

}  // namespace bridge
