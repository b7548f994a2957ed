// The C interface as a program would call it, and as one would that makes mistakes: a writer and a
// reader with the same secrets, and between them a wire that the input may damage.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/c_api_pieces.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"
#include "userspace/api/ktls_bridge.h"

namespace tls::fuzz {
namespace {

constexpr std::size_t kActsMax = 120;
constexpr std::uint8_t kRareFrom = 0xe0;  // of the byte that draws an act
constexpr std::size_t kContentMax = 1 << 14;
constexpr std::size_t kRecordsMax = 8;
constexpr std::uint64_t kSsl2 = 0x0002;
constexpr std::array<std::uint64_t, 8> kVersions = {0x0303, 0x0304, 0x0301, 0x0302,
                                                    0x0300, kSsl2,  0x0200, 0x0404};
constexpr std::array kSettable = {KTLSB_VERSION,
                                  KTLSB_IS_CLIENT,
                                  KTLSB_TLS13_RECORDS,
                                  KTLSB_HANDSHAKE_FINISHED,
                                  KTLSB_ENCRYPT_THEN_MAC,
                                  KTLSB_RECEIVE_LIMIT,
                                  KTLSB_SEND_LIMIT,
                                  KTLSB_EARLY_DATA_OK,
                                  KTLSB_EARLY_DATA_MAX,
                                  KTLSB_WIRE_VERSION,
                                  KTLSB_IS_TLS13,
                                  KTLSB_EARLY_DATA_SKIPPED,
                                  KTLSB_UNSAFE_STATE_ACCESS};

int fill(void* context, std::uint8_t* out, std::size_t size) {
  auto& next = *static_cast<std::uint8_t*>(context);
  for (std::size_t i = 0; i < size; ++i) out[i] = next++;
  return 0;
}

std::size_t pad(void* context, std::size_t content_size, std::uint8_t /*type*/, std::size_t max) {
  require(content_size + max <= kContentMax, "padding fits a record");
  return *static_cast<const std::size_t*>(context);
}

class Pair {
 public:
  explicit Pair(Input& input) : input_(input) { restart(); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() { free(); }

  void run() {
    using Act = void (Pair::*)();
    static constexpr std::array<Act, 16> kActs = {
        &Pair::send,        &Pair::compute,      &Pair::send,   &Pair::feed_raw,
        &Pair::send,        &Pair::set_property, &Pair::change, &Pair::open_in_place,
        &Pair::send,        &Pair::update_key,   &Pair::look,   &Pair::release,
        &Pair::open_header, &Pair::start_at,     &Pair::frame,  &Pair::shut,
    };
    static constexpr std::array<Act, 3> kRareActs = {&Pair::set_padding, &Pair::use_pieces,
                                                     &Pair::send_by_socket};
    for (std::size_t act = 0; act < kActsMax && !input_.empty(); ++act) {
      const std::uint8_t drawn = input_.byte();
      const bool is_rare = drawn >= kRareFrom;
      (this->*(is_rare ? kRareActs[drawn % kRareActs.size()] : kActs[drawn % kActs.size()]))();
    }
  }

 private:
  void free() {
    ktlsb_free(writer_);
    ktlsb_free(reader_);
  }

  void restart() {
    free();
    writer_ = ktlsb_new();
    reader_ = ktlsb_new();
    random_ = 0;
    require(ktlsb_set_random(writer_, fill, &random_) == KTLSB_OK, "a source is taken");
    answered(ktlsb_set(reader_, KTLSB_IS_CLIENT, 0));
    is_clean_ = true;
    is_keyed_ = false;
    shows_keys_ = false;
    receive_limit_ = kContentMax;
    set_version(0x0303);
  }

  void set_version(std::uint64_t version) {
    version_ = version;
    const int first = answered(ktlsb_set(writer_, KTLSB_VERSION, version));
    require(first == ktlsb_set(reader_, KTLSB_VERSION, version), "both layers answer alike");
    ktlsb_set(writer_, KTLSB_TLS13_RECORDS, version == 0x0304 ? 1 : 0);
    ktlsb_set(reader_, KTLSB_TLS13_RECORDS, version == 0x0304 ? 1 : 0);
  }

  // --- keys ---------------------------------------------------------------------------------

  void compute() {
    if (input_.flag()) {
      set_version(input_.one_of(std::span<const std::uint64_t>(kVersions)));
      is_clean_ = is_clean_ && !is_keyed_;
    }
    ktlsb_suite suite{};
    require(ktlsb_suite_at(input_.below(ktlsb_suite_count()), &suite) == KTLSB_OK, "a suite");
    const Bytes master = pattern(48, input_.byte());
    const Bytes random = pattern(32, 1);
    std::array<int, 2> done{};
    std::size_t i = 0;
    for (ktlsb_layer* layer : {writer_, reader_}) {
      int& error = done[i++];
      if (version_ == kSsl2 || suite.version_max == kSsl2) {
        std::array<std::uint8_t, 8> key_arg{};
        std::size_t size = 0;
        const Bytes key_arg_in = pattern(8, 9);
        error = ktlsb_derive_ssl2_pending_states(layer, suite.id, master.data(), 24, random.data(),
                                                 16, random.data(), 16, key_arg_in.data(),
                                                 key_arg.data(), &size);
        require(error != KTLSB_OK || size == 0 || size == 8, "KEY-ARG's size");
      } else if (version_ == 0x0304) {
        error = ktlsb_derive_tls13_pending_states(layer, static_cast<std::uint16_t>(suite.id),
                                                  master.data(), master.data(), 1 + secret_size());
      } else {
        error =
            ktlsb_derive_pending_states(layer, static_cast<std::uint16_t>(suite.id), master.data(),
                                        master.size(), random.data(), random.data());
      }
      answered(error);
    }
    require(done[0] == done[1], "both layers answer alike");
  }

  [[nodiscard]] std::size_t secret_size() const { return version_ % 2 == 0 ? 31 : 47; }

  void change() {
    ktlsb_state pending{};
    const bool is_pending =
        ktlsb_describe_state(writer_, KTLSB_PENDING_WRITE, &pending) == KTLSB_OK &&
        (pending.has_cipher != 0 || pending.has_mac != 0);
    const int writing = answered(ktlsb_change_write_state(writer_));
    const int reading = answered(ktlsb_change_read_state(reader_));
    // Encrypt-then-MAC and the fixed IV block are set apart from the suite, and need not fit it.
    if (is_pending && writing != KTLSB_OK) {
      require(writing == KTLSB_OUT_OF_RANGE || writing == KTLSB_NOT_USABLE ||
                  writing == KTLSB_NOT_IMPLEMENTED,
              "a pending state becomes current, or cannot", ktlsb_last_error(writer_));
      ktlsb_state after{};
      answered(ktlsb_describe_state(writer_, KTLSB_PENDING_WRITE, &after));
      require(after.has_mac == pending.has_mac && after.is_aead == pending.is_aead,
              "what could not be changed to is still pending");
    }
    is_clean_ = is_clean_ && writing == reading;
    if (writing == KTLSB_OK) {
      is_keyed_ = true;
    }
  }

  void update_key() {
    const Bytes secret = pattern(48, input_.byte());
    const auto id = static_cast<std::uint16_t>(0x1301 + input_.below(4));
    const std::size_t size = id == 0x1302 ? 48 : 32;
    std::array<std::uint8_t, 48> first{};
    std::array<std::uint8_t, 48> second{};
    const int writing = answered(ktlsb_key_update(writer_, id, 0, secret.data(), secret.data(),
                                                  size, first.data(), second.data()));
    const int reading = answered(ktlsb_key_update(reader_, id, 1, secret.data(), secret.data(),
                                                  size, first.data(), second.data()));
    is_clean_ = is_clean_ && writing == reading;
  }

  void start_at() {
    const std::uint64_t sequence = input_.flag() ? UINT64_MAX - input_.below(4) : input_.number(8);
    const int writing = answered(ktlsb_set_sequence(writer_, KTLSB_PENDING_WRITE, sequence));
    const int reading = answered(ktlsb_set_sequence(reader_, KTLSB_PENDING_READ, sequence));
    is_clean_ = is_clean_ && writing == reading;
    answered(ktlsb_set_explicit_nonce(writer_, KTLSB_PENDING_WRITE, sequence ^ 1U));
    const Bytes block = pattern(input_.below(20), 5);
    answered(ktlsb_set_fixed_iv_block(writer_, block.data(), block.size()));
  }

  // --- properties -----------------------------------------------------------------------------

  void set_property() {
    const ktlsb_property property = input_.one_of(std::span<const ktlsb_property>(kSettable));
    const std::uint64_t value = input_.flag() ? input_.number(8) : input_.below(0x5000);
    if (property == KTLSB_VERSION) return;  // compute() sets it, for both
    ktlsb_layer* const layer = input_.flag() ? writer_ : reader_;
    const int error = answered(ktlsb_set(layer, property, value));
    std::uint64_t after = 0;
    answered(ktlsb_get(layer, property, &after));
    if (error != KTLSB_OK) return;
    if (property == KTLSB_UNSAFE_STATE_ACCESS && layer == reader_) shows_keys_ = value != 0;
    if (property == KTLSB_RECEIVE_LIMIT && layer == reader_) {
      require(after == value, "a limit is what was set");
      receive_limit_ = value;
    } else if (property != KTLSB_SEND_LIMIT && property != KTLSB_RECEIVE_LIMIT) {
      is_clean_ = false;
    }
  }

  void set_padding() {
    padding_ = input_.below(0x200);
    answered(ktlsb_set_padding(writer_, input_.flag() ? pad : nullptr, &padding_));
  }

  void look() {
    ktlsb_state state{};
    ktlsb_keys keys{};
    for (const auto which : {KTLSB_WRITE, KTLSB_READ, KTLSB_PENDING_WRITE, KTLSB_PENDING_READ}) {
      answered(ktlsb_describe_state(reader_, which, &state));
      const int error = answered(ktlsb_state_keys(reader_, which, &keys));
      require(shows_keys_ || error != KTLSB_OK, "keys are not shown without leave");
    }
    require(ktlsb_last_error(reader_) != nullptr, "there is always something to say");
  }

  void release() {
    ktlsb_released released{};
    const bool is_reading = input_.flag();
    ktlsb_layer* const layer = is_reading ? reader_ : writer_;
    const ktlsb_which which = is_reading ? KTLSB_READ : KTLSB_WRITE;
    const bool is_spent = !is_reading && uses_last_number();
    if (answered(ktlsb_release(layer, which, &released)) != KTLSB_OK) return;
    require(!is_spent, "a state without a number left is not handed out");
    require(ktlsb_release(layer, which, &released) != KTLSB_OK, "a state is handed out once");
    ktlsb_record record{};
    std::array<std::uint8_t, 100> wire{};
    std::size_t size = 0;
    if (is_reading) {
      require(ktlsb_next(layer, &record) < 0, "a released direction is refused");
    } else {
      require(ktlsb_seal(layer, 23, wire.data(), 1, wire.data() + 1, 99, &size) < 0,
              "a released direction is refused");
      require(ktlsb_sealed_size(layer, 1) == 0, "a released direction has no size");
    }
    restart();
  }

  // Whether the writer has no number left: one more record tells, which the reader then misses.
  [[nodiscard]] bool uses_last_number() {
    is_clean_ = false;
    ktlsb_state before{};
    if (ktlsb_describe_state(writer_, KTLSB_WRITE, &before) != KTLSB_OK) return false;
    const std::uint8_t content = 1;
    Bytes wire(ktlsb_sealed_record_size(writer_, 1, 0));
    std::size_t size = 0;
    const int sealed =
        answered(ktlsb_seal_record(writer_, 23, &content, 1, 0, wire.data(), wire.size(), &size));
    return sealed == KTLSB_OUT_OF_RANGE || (sealed == KTLSB_OK && before.sequence == UINT64_MAX);
  }

  void shut() {
    answered(ktlsb_shutdown(input_.flag() ? reader_ : writer_));
    if (input_.flag()) answered(ktlsb_feed_end(reader_));
    drain();
    restart();
  }

  // --- records --------------------------------------------------------------------------------

  [[nodiscard]] bool seal(Bytes& wire, std::uint8_t& type, Bytes& content) {
    const std::uint8_t drawn = input_.byte();
    type = drawn < 0xf0 ? static_cast<std::uint8_t>(20 + drawn % 4) : input_.byte();
    content = pattern(input_.flag() ? input_.below(0x40) : input_.below(kContentMax + 64), drawn);
    const bool is_single = input_.flag();
    const std::size_t padding = is_single && input_.flag() ? input_.below(0x100) : 0;
    const std::size_t room = is_single ? ktlsb_sealed_record_size(writer_, content.size(), padding)
                                       : ktlsb_sealed_size(writer_, content.size());
    if (room > 64 * kContentMax) return false;  // a send limit of some bytes makes thousands
    const std::size_t less = input_.byte() == 0xff ? 1 : 0;
    wire.resize(room - std::min(room, less));
    std::size_t size = 0;
    const int error = is_single ? ktlsb_seal_record(writer_, type, content.data(), content.size(),
                                                    padding, wire.data(), wire.size(), &size)
                                : ktlsb_seal(writer_, type, content.data(), content.size(),
                                             wire.data(), wire.size(), &size);
    answered(error);
    if (error != KTLSB_OK) return false;
    require(size <= wire.size(), "no more is written than there is room for");
    wire.resize(size);
    is_exact_ = content.size() + padding + 1 <= receive_limit_ && type >= 20 && type <= 23 &&
                !content.empty() && !(type == 20 && version_ == 0x0304) && is_single;
    return true;
  }

  void send() {
    Bytes wire;
    Bytes content;
    std::uint8_t type = 0;
    if (!seal(wire, type, content)) {
      is_clean_ = false;
      return;
    }
    if (!is_exact_) is_clean_ = false;
    if (input_.byte() >= 0xe0 && !wire.empty()) {
      is_clean_ = false;
      wire[input_.below(wire.size())] ^= static_cast<std::uint8_t>(1U << input_.below(8));
      if (input_.flag()) wire.resize(input_.below(wire.size() + 1));
    }
    const bool was_clean = is_clean_;
    opened_ = 0;
    if (input_.flag()) {
      open_in_place_of(wire);
    } else if (answered(ktlsb_feed(reader_, wire.data(), wire.size())) == KTLSB_OK) {
      drain();
    }
    if (!was_clean) return;
    require(opened_ == 1 && last_ == content, "what was sealed opens", ktlsb_last_error(reader_));
  }

  void feed_raw() {
    const auto bytes = input_.bytes(1 + input_.below(0x100));
    is_clean_ = false;
    if (answered(ktlsb_feed(reader_, bytes.data(), bytes.size())) == KTLSB_OK) drain();
  }

  void check(const ktlsb_record& record) {
    require(record.content_size <= receive_limit_, "content keeps the receive limit");
    const std::span<const std::uint8_t> content(record.content, record.content_size);
    last_.assign(content.begin(), content.end());  // ASan sees where it lies
    ++opened_;
  }

  void drain() {
    for (;;) {
      ktlsb_record record{};
      const int error = answered(ktlsb_next(reader_, &record));
      if (error == KTLSB_OK) {
        check(record);
        continue;
      }
      if (error == KTLSB_WANT_MORE) {
        require(ktlsb_want(reader_) > 0, "who wants more says how much");
      } else {
        is_clean_ = false;
        require(ktlsb_next(reader_, &record) == error, "a dead direction answers its error");
      }
      return;
    }
  }

  void open_in_place_of(Bytes wire) {
    std::array<ktlsb_record, kRecordsMax> records{};
    std::size_t count = 0;
    std::size_t consumed = 0;
    const int error = answered(ktlsb_open_in_place(
        reader_, wire.data(), wire.size(), records.data(), records.size(), &count, &consumed));
    require(count <= records.size() && consumed <= wire.size(), "no more than there was");
    for (const ktlsb_record& record : std::span(records).first(count)) {
      require(record.content_size == 0 ||
                  (record.content >= wire.data() &&
                   record.content + record.content_size <= wire.data() + consumed),
              "content lies in what was consumed");
      check(record);
    }
    if (error != KTLSB_OK || consumed != wire.size()) is_clean_ = false;
  }

  void open_in_place() {
    const auto bytes = input_.bytes(1 + input_.below(0x40));
    is_clean_ = false;
    open_in_place_of({bytes.begin(), bytes.end()});
  }

  void open_header() {
    const auto bytes = input_.bytes(input_.below(8));
    ktlsb_header header{};
    std::size_t size = 0;
    const int error = answered(ktlsb_decode_header(bytes.data(), bytes.size(), &header, &size));
    if (error != KTLSB_OK) return;
    require(size <= bytes.size() && size <= 5, "a header is within its bytes");
    std::array<std::uint8_t, 5> encoded{};
    std::size_t encoded_size = 0;
    if (answered(ktlsb_encode_header(&header, encoded.data(), &encoded_size)) == KTLSB_OK) {
      require(encoded_size <= encoded.size(), "a header has five bytes at most");
      require(encoded_size != size ||
                  std::ranges::equal(bytes.first(size), std::span(encoded).first(encoded_size)),
              "a header is encoded as it was");
    }
    Bytes body = pattern(input_.below(0x200), 1);
    ktlsb_record record{};
    is_clean_ = false;
    if (answered(ktlsb_open_body(reader_, &header, body.data(), body.size(), &record)) ==
        KTLSB_OK) {
      check(record);
    }
  }

  // The writer's record goes to the reader by a pair of sockets, neither of which waits.
  void send_by_socket() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0, "a pair");
    ktlsb_record_socket* const near = ktlsb_record_socket_new(ends[0], writer_);
    ktlsb_record_socket* const far = ktlsb_record_socket_new(ends[1], reader_);
    const Bytes content = pattern(1 + input_.below(kContentMax), input_.byte());
    is_clean_ = false;
    int sent = answered(ktlsb_record_socket_send(near, 23, content.data(), content.size()));
    ktlsb_record record{};
    int received = KTLSB_OK;
    while (sent >= 0 && received >= 0) {
      while ((received = answered(ktlsb_record_socket_receive(far, &record))) == KTLSB_OK) {
        check(record);
      }
      if (sent == KTLSB_OK) break;
      require(ktlsb_record_socket_send(near, 23, content.data(), 1) == KTLSB_WRONG_STATE,
              "nothing overtakes what is not out");
      sent = answered(ktlsb_record_socket_flush(near));
    }
    ktlsb_record_socket_free(near);
    ktlsb_record_socket_free(far);
    for (const int end : ends) ::close(end);
  }

  void frame() { frame_anything(input_); }

  void use_pieces() {
    std::array<std::uint8_t, 16> block{};
    std::size_t size = 0;
    if (answered(ktlsb_fixed_iv_block(writer_, block.data(), input_.below(17), &size)) ==
        KTLSB_OK) {
      require(size <= block.size(), "a fixed IV block is a block at most");
    }
    use_any_piece(input_);
  }

  Input& input_;
  ktlsb_layer* writer_ = nullptr;
  ktlsb_layer* reader_ = nullptr;
  std::uint8_t random_ = 0;
  std::size_t padding_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t receive_limit_ = kContentMax;
  bool is_clean_ = true;  // nothing but whole records of the writer reached the reader, in order
  bool is_keyed_ = false;
  bool shows_keys_ = false;
  bool is_exact_ = false;  // what was sealed last may not be refused
  std::size_t opened_ = 0;
  Bytes last_;
};

}  // namespace
}  // namespace tls::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tls::fuzz::Input input({data, size});
  tls::fuzz::Pair(input).run();
  return 0;
}
