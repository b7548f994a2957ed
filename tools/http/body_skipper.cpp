#include "tools/http/body_skipper.h"

#include <algorithm>

namespace http {
namespace {

// Sixteen fit into 64 bits. More, even zeros, are nobody's honest size.
constexpr unsigned kDigitsMax = 16;

// -1 for what is no digit.
int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return (octet < 0x20 && octet != '\t') || octet == 0x7f;
}

}  // namespace

BodySkipper::BodySkipper(const Request& request, std::uint64_t size_max)
    : is_chunked_(request.body == Body::kChunked), budget_(size_max) {
  if (request.body == Body::kNone) state_ = State::kDone;
  if (request.body == Body::kSized) {
    left_ = request.content_length;
    if (left_ > budget_) state_ = State::kTooLong;
  }
}

std::size_t BodySkipper::skip(std::string_view received) {
  std::size_t consumed = 0;
  while (state_ == State::kNeedMore && consumed < received.size()) {
    if (!is_chunked_ || place_ == Place::kData) {
      consumed += skip_counted(received.substr(consumed));
    } else if (budget_ == 0) {
      state_ = State::kTooLong;
    } else {
      --budget_;
      step(received[consumed++]);
    }
  }
  return consumed;
}

// `received` and left_ are not empty.
std::size_t BodySkipper::skip_counted(std::string_view received) {
  const auto size = std::min<std::uint64_t>({received.size(), left_, budget_});
  if (size == 0) state_ = State::kTooLong;
  left_ -= size;
  budget_ -= size;
  if (left_ == 0) {
    place_ = Place::kDataReturn;
    if (!is_chunked_) state_ = State::kDone;
  }
  return size;
}

void BodySkipper::step(char c) {
  switch (place_) {
    case Place::kSize:
      return read_size(c);
    case Place::kExtension:
      if (c == '\r') {
        place_ = Place::kSizeFeed;
      } else if (is_control(c)) {
        state_ = State::kMalformed;
      }
      return;
    case Place::kSizeFeed:
      return expect(c, '\n', left_ > 0 ? Place::kData : Place::kLineStart);
    case Place::kDataReturn:
      return expect(c, '\r', Place::kDataFeed);
    case Place::kDataFeed:
      digits_ = 0;
      return expect(c, '\n', Place::kSize);
    case Place::kTrailerFeed:
      return expect(c, '\n', Place::kLineStart);
    case Place::kEndFeed:
      expect(c, '\n', Place::kEndFeed);
      if (state_ == State::kNeedMore) state_ = State::kDone;
      return;
    case Place::kData:
      return;  // skip_counted()
    case Place::kLineStart:
    case Place::kTrailer:
      return read_trailer(c);
  }
}

void BodySkipper::read_size(char c) {
  const int digit = hex_value(c);
  if (digit >= 0 && digits_ < kDigitsMax) {
    left_ = (digits_ == 0 ? 0 : left_ * 16) + static_cast<std::uint64_t>(digit);
    ++digits_;
  } else if (digits_ > 0 && c == '\r') {
    place_ = Place::kSizeFeed;
  } else if (digits_ > 0 && (c == ';' || c == ' ' || c == '\t')) {
    place_ = Place::kExtension;
  } else {
    state_ = State::kMalformed;
  }
}

// Trailers are dropped (RFC 9110 section 6.5.1), so that their form matters only where they end.
void BodySkipper::read_trailer(char c) {
  if (c == '\r') {
    place_ = place_ == Place::kLineStart ? Place::kEndFeed : Place::kTrailerFeed;
  } else if (is_control(c)) {
    state_ = State::kMalformed;
  } else {
    place_ = Place::kTrailer;
  }
}

void BodySkipper::expect(char c, char expected, Place next) {
  if (c == expected) {
    place_ = next;
  } else {
    state_ = State::kMalformed;
  }
}

}  // namespace http
