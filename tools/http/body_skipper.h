// BodySkipper: finds the end of a request's body that nobody wants, so that the next request on the
// connection can be read (RFC 9112 sections 6.3 and 7.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tools/http/request.h"

namespace http {

// Looks at each byte once and keeps none.
class BodySkipper {
 public:
  enum class State : std::uint8_t {
    kNeedMore,   // the body goes on
    kDone,       // what follows the consumed bytes is the next request
    kTooLong,    // longer than `size_max`: close the connection
    kMalformed,  // no chunks: 400, and close the connection
  };

  // `size_max` bounds the body as it is sent, with what frames its chunks.
  BodySkipper(const Request& request, std::uint64_t size_max);

  // Consumes bytes from the front of `received`, all of them while the body goes on, and answers
  // how many.
  std::size_t skip(std::string_view received);

  [[nodiscard]] State state() const { return state_; }

 private:
  // Where in the chunks the next byte stands.
  enum class Place : std::uint8_t {
    kSize,       // hexadecimal digits
    kExtension,  // to the end of the line
    kSizeFeed,   // the LF of that line
    kData,
    kDataReturn,  // CR and LF behind the data
    kDataFeed,
    kLineStart,  // of a trailer line, or of the empty one at the end
    kTrailer,
    kTrailerFeed,
    kEndFeed,
  };

  void step(char c);
  void read_size(char c);
  void read_trailer(char c);
  void expect(char c, char expected, Place next);
  std::size_t skip_counted(std::string_view received);

  State state_ = State::kNeedMore;
  bool is_chunked_ = false;
  Place place_ = Place::kSize;
  std::uint64_t left_ = 0;    // of the body, or of the chunk
  std::uint64_t budget_ = 0;  // of size_max
  unsigned digits_ = 0;       // of the chunk's size
};

}  // namespace http
