// The C interface of records: sealing, opening, framing, and all that over a descriptor.
#include <algorithm>
#include <new>
#include <variant>

#include "userspace/api/c_handles.h"
#include "userspace/record/record_header.h"

namespace {

using api::answer;
using api::code_of;
using api::guarded;
using api::guarded_size;
using api::header_of;
using api::record_of;
using api::refuse;

// The memory is the caller's, and the layer lets go of it however the call ends.
class Lent {
 public:
  Lent(tls::RecordLayer& layer, std::span<std::uint8_t> wire) : layer_(layer) { layer_.feed(wire); }
  ~Lent() { layer_.feed({}); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  tls::RecordLayer& layer_;
};

}  // namespace

// --- sealing -----------------------------------------------------------------------------------

size_t ktlsb_sealed_record_size(const ktlsb_layer* layer, size_t content_size, size_t padding) {
  if (content_size > tls::kBodySizeMax || padding > tls::kBodySizeMax)
    return SIZE_MAX;  // no record
  const auto& current = layer->records().write_state();
  return current ? current->sealed_size(content_size, padding) : 0;
}

int ktlsb_seal_record(ktlsb_layer* layer, uint8_t type, const uint8_t* content, size_t content_size,
                      size_t padding, uint8_t* wire, size_t capacity, size_t* wire_size) {
  return guarded([&]() -> int {
    *wire_size = 0;
    const tls::Outgoing outgoing{.type = static_cast<tls::ContentType>(type),
                                 .content = {content, content_size},
                                 .padding = padding};
    const bool may_be_one = content_size <= tls::kBodySizeMax && padding <= tls::kBodySizeMax;
    const std::size_t size = may_be_one ? layer->records().sealed_record_size(outgoing) : SIZE_MAX;
    if (size <= tls::kRecordHeaderSize + tls::kBodySizeMax && capacity < size) {
      return refuse(layer, KTLSB_NO_SPACE, "ktlsb_sealed_record_size() says how much is needed");
    }
    const auto sealed = layer->records().seal_record(outgoing, {wire, capacity});
    if (!sealed) return answer(layer, sealed.error());
    *wire_size = *sealed;
    return KTLSB_OK;
  });
}

size_t ktlsb_sealed_size(const ktlsb_layer* layer, size_t content_size) {
  if (content_size > SIZE_MAX / 4) return SIZE_MAX;  // more than any memory holds
  return layer->records().sealed_size(content_size);
}

int ktlsb_seal(ktlsb_layer* layer, uint8_t type, const uint8_t* content, size_t content_size,
               uint8_t* wire, size_t capacity, size_t* wire_size) {
  return guarded([&]() -> int {
    *wire_size = 0;
    if (capacity < ktlsb_sealed_size(layer, content_size)) {
      return refuse(layer, KTLSB_NO_SPACE, "ktlsb_sealed_size() says how much is needed");
    }
    const auto sealed = layer->records().seal(static_cast<tls::ContentType>(type),
                                              {content, content_size}, {wire, capacity});
    if (!sealed) return answer(layer, sealed.error());
    *wire_size = *sealed;
    return KTLSB_OK;
  });
}

// --- opening -----------------------------------------------------------------------------------

size_t ktlsb_want(const ktlsb_layer* layer) {
  return guarded_size([&] { return layer->want(); });
}

int ktlsb_feed(ktlsb_layer* layer, const uint8_t* bytes, size_t size) {
  return guarded([&]() -> int {
    layer->feed({bytes, size});
    return KTLSB_OK;
  });
}

int ktlsb_feed_end(ktlsb_layer* layer) {
  layer->feed_end();
  return KTLSB_OK;
}

int ktlsb_next(ktlsb_layer* layer, ktlsb_record* record) {
  return guarded([&]() -> int {
    *record = {};
    const auto next = layer->next();
    if (!next) return answer(layer, next.error());
    if (std::holds_alternative<tls::NeedBytes>(*next)) return KTLSB_WANT_MORE;
    *record = record_of(std::get<tls::Record>(*next));
    return KTLSB_OK;
  });
}

int ktlsb_open_in_place(ktlsb_layer* layer, uint8_t* wire, size_t size, ktlsb_record* records,
                        size_t max, size_t* count, size_t* consumed) {
  return guarded([&]() -> int {
    *count = 0;
    *consumed = 0;
    if (layer->has_unread()) {
      return refuse(layer, KTLSB_WRONG_STATE, "bytes that were fed are unread");
    }
    tls::RecordLayer& layer_records = layer->records();
    const Lent lent(layer_records, {wire, size});
    int result = KTLSB_OK;
    while (*count < max) {
      const auto next = layer_records.next_record();
      if (!next) {
        // What came before it is the caller's first; the layer remembers.
        if (*count == 0) result = answer(layer, next.error());
        break;
      }
      if (std::holds_alternative<tls::NeedBytes>(*next)) break;
      records[(*count)++] = record_of(std::get<tls::Record>(*next));
    }
    *consumed = size - layer_records.unread().size();
    return result;
  });
}

int ktlsb_open_body(ktlsb_layer* layer, const ktlsb_header* header, uint8_t* body, size_t body_size,
                    ktlsb_record* record) {
  return guarded([&]() -> int {
    *record = {};
    const auto opened = layer->records().open_body(header_of(*header), {body, body_size});
    if (!opened) return answer(layer, opened.error());
    *record = record_of(*opened);
    return KTLSB_OK;
  });
}

// --- framing alone -----------------------------------------------------------------------------

int ktlsb_encode_header(const ktlsb_header* header, uint8_t out[5], size_t* size) {
  return guarded([&]() -> int {
    *size = 0;
    if (header->is_ssl2 != 0) {
      const auto written =
          tls::encode_ssl2_header(header_of(*header), std::span<std::uint8_t, 3>(out, 3));
      if (!written) return code_of(written.error());
      *size = *written;
      return KTLSB_OK;
    }
    if (header->length > tls::kBodySizeMax) return KTLSB_OUT_OF_RANGE;
    tls::encode_record_header(header_of(*header),
                              std::span<std::uint8_t, tls::kRecordHeaderSize>(out, 5));
    *size = tls::kRecordHeaderSize;
    return KTLSB_OK;
  });
}

int ktlsb_decode_header(const uint8_t* bytes, size_t available, ktlsb_header* header,
                        size_t* size) {
  return guarded([&]() -> int {
    *header = {};
    *size = available == 0 ? 1 : tls::header_size_of(bytes[0]);
    if (available < *size) return KTLSB_WANT_MORE;
    if (*size == tls::kRecordHeaderSize) {
      *header = header_of(tls::decode_record_header(
          std::span<const std::uint8_t, tls::kRecordHeaderSize>(bytes, tls::kRecordHeaderSize)));
      return KTLSB_OK;
    }
    const auto decoded = tls::decode_ssl2_header({bytes, *size});
    if (!decoded) return code_of(decoded.error());
    *header = header_of(*decoded);
    return KTLSB_OK;
  });
}

ktlsb_framer* ktlsb_framer_new(void) {
  try {
    return new ktlsb_framer;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ktlsb_framer_free(ktlsb_framer* framer) {
  delete framer;
}

int ktlsb_framer_set_limit(ktlsb_framer* framer, size_t limit, int tls13_records) {
  if (limit > tls::kBodySizeMax) return KTLSB_OUT_OF_RANGE;
  framer->set_limit(limit + (tls13_records != 0 ? tls::kExpansionMax13 : tls::kExpansionMax));
  return KTLSB_OK;
}

size_t ktlsb_framer_want(const ktlsb_framer* framer) {
  return guarded_size([&] { return framer->want(); });
}

int ktlsb_framer_feed(ktlsb_framer* framer, const uint8_t* bytes, size_t size) {
  return guarded([&]() -> int {
    framer->feed({bytes, size});
    return KTLSB_OK;
  });
}

int ktlsb_framer_feed_end(ktlsb_framer* framer) {
  framer->feed_end();
  return KTLSB_OK;
}

int ktlsb_framer_next(ktlsb_framer* framer, ktlsb_record* record) {
  return guarded([&]() -> int {
    *record = {};
    const auto next = framer->next();
    if (!next) return code_of(next.error());
    const auto* framed = std::get_if<api::Framer::Framed>(&*next);
    if (framed == nullptr) return KTLSB_WANT_MORE;
    *record = {.header = header_of(framed->header),
               .content = framed->body.data(),
               .content_size = framed->body.size()};
    return KTLSB_OK;
  });
}

// --- over a descriptor -------------------------------------------------------------------------

ktlsb_record_socket* ktlsb_record_socket_new(int fd, ktlsb_layer* layer) {
  try {
    return new ktlsb_record_socket(fd, layer);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void ktlsb_record_socket_free(ktlsb_record_socket* socket) {
  delete socket;
}

int ktlsb_record_socket_send(ktlsb_record_socket* socket, uint8_t type, const uint8_t* content,
                             size_t content_size) {
  return guarded([&]() -> int {
    const auto sent = socket->send(static_cast<tls::ContentType>(type), {content, content_size});
    if (!sent) return answer(socket->layer, sent.error());
    return *sent ? KTLSB_OK : KTLSB_WANT_MORE;
  });
}

int ktlsb_record_socket_flush(ktlsb_record_socket* socket) {
  return guarded([&]() -> int {
    const auto sent = socket->flush();
    if (!sent) return answer(socket->layer, sent.error());
    return *sent ? KTLSB_OK : KTLSB_WANT_MORE;
  });
}

int ktlsb_record_socket_receive(ktlsb_record_socket* socket, ktlsb_record* record) {
  return guarded([&]() -> int {
    *record = {};
    const auto next = socket->receive();
    if (!next) return answer(socket->layer, next.error());
    if (std::holds_alternative<tls::NeedBytes>(*next)) return KTLSB_WANT_MORE;
    *record = record_of(std::get<tls::Record>(*next));
    return KTLSB_OK;
  });
}
