// Lets every allocation of the C interface fail in turn: no exception may reach C.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "userspace/api/ktls_bridge.h"

namespace {

// How many more allocations there is memory for; empty: any number.
std::optional<std::size_t> allocations_left;

}  // namespace

// Not inlined: g++ would see malloc on one side and delete on the other, and call it a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (allocations_left && (*allocations_left)-- == 0) {
    allocations_left.reset();  // one fails, so that what follows it is seen as well
    throw std::bad_alloc();
  }
  if (void* bytes = std::malloc(size == 0 ? 1 : size)) return bytes;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* bytes) noexcept {
  std::free(bytes);
}
[[gnu::noinline]] void operator delete(void* bytes, std::size_t /*size*/) noexcept {
  std::free(bytes);
}

namespace {

constexpr std::array<std::uint8_t, 48> kSecret = {1, 2, 3};
// A header that is refused, which an error has to be made for.
constexpr std::array<std::uint8_t, 5> kTooLong = {23, 3, 3, 0xff, 0xff};

int fill(void* /*context*/, std::uint8_t* out, std::size_t size) {
  std::fill_n(out, size, std::uint8_t{7});
  return 0;
}

std::size_t pad_by_one(void* /*context*/, std::size_t, std::uint8_t, std::size_t) {
  return 1;
}

void expect_named(int error) {
  EXPECT_TRUE(error <= KTLSB_WANT_MORE && error >= KTLSB_NOT_IN_KERNEL) << error;
}

void use_states(ktlsb_layer* layer) {
  expect_named(ktlsb_set_random(layer, fill, nullptr));
  expect_named(ktlsb_set_padding(layer, pad_by_one, nullptr));
  expect_named(ktlsb_set(layer, KTLSB_VERSION, 0x0303));
  expect_named(ktlsb_set(layer, KTLSB_VERSION, 0x10000));
  expect_named(ktlsb_change_write_state(layer));
  std::array<std::uint8_t, 8> key_arg{};
  std::size_t size = 0;
  expect_named(ktlsb_derive_ssl2_pending_states(layer, 0x0700C0, kSecret.data(), 24, kSecret.data(),
                                                16, kSecret.data(), 16, nullptr, key_arg.data(),
                                                &size));
  expect_named(
      ktlsb_derive_tls13_pending_states(layer, 0x1301, kSecret.data(), kSecret.data(), 32));
  expect_named(ktlsb_derive_pending_states(layer, 0x002F, kSecret.data(), 48, kSecret.data(),
                                           kSecret.data()));
  expect_named(ktlsb_set_fixed_iv_block(layer, kSecret.data(), 16));
  expect_named(ktlsb_set_fixed_iv_block(layer, kSecret.data(), 17));
  expect_named(ktlsb_set_sequence(layer, KTLSB_PENDING_WRITE, 1));
  expect_named(ktlsb_set_explicit_nonce(layer, KTLSB_WRITE, 1));
  expect_named(ktlsb_change_write_state(layer));
  std::array<std::uint8_t, 48> client{};
  std::array<std::uint8_t, 48> server{};
  for (const int received : {0, 1}) {
    expect_named(ktlsb_key_update(layer, 0x1301, received, kSecret.data(), kSecret.data(), 32,
                                  client.data(), server.data()));
  }
}

void use_records(ktlsb_layer* layer) {
  std::array<std::uint8_t, 200> wire{};
  std::size_t size = 0;
  std::size_t count = 0;
  ktlsb_record record{};
  expect_named(ktlsb_seal_record(layer, 23, kSecret.data(), 48, 0, wire.data(), 10, &size));
  expect_named(ktlsb_seal_record(layer, 23, kSecret.data(), 48, 0, wire.data(), 200, &size));
  expect_named(ktlsb_seal(layer, 24, kSecret.data(), 48, wire.data(), 200, &size));
  expect_named(ktlsb_seal(layer, 23, kSecret.data(), 48, wire.data(), 200, &size));
  expect_named(ktlsb_open_in_place(layer, wire.data(), size, &record, 1, &count, &size));
  expect_named(ktlsb_open_body(layer, &record.header, wire.data(), 50, &record));
  expect_named(ktlsb_feed(layer, kTooLong.data(), kTooLong.size()));
  EXPECT_LE(ktlsb_want(layer), kTooLong.size());
  expect_named(ktlsb_next(layer, &record));
  ktlsb_released released{};
  expect_named(ktlsb_release(layer, KTLSB_WRITE, &released));
  expect_named(ktlsb_release(layer, KTLSB_READ, &released));
  expect_named(ktlsb_shutdown(layer));
}

void use_sockets(ktlsb_layer* layer) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  int reason = 0;
  ktlsb_places places{};
  expect_named(ktlsb_install(ends[0], layer, KTLSB_TRANSMIT, &reason));
  expect_named(ktlsb_placement(ends[0], &places));
  std::array<std::uint8_t, 100> content{};
  std::uint8_t type = 0;
  std::size_t size = 0;
  int end = 0;
  expect_named(ktlsb_receive(ends[0], &type, content.data(), content.size(), &size, &end));
  expect_named(ktlsb_send(ends[0], 23, content.data(), content.size(), &size));
  if (ktlsb_record_socket* const socket = ktlsb_record_socket_new(ends[1], layer)) {
    ktlsb_record record{};
    expect_named(ktlsb_record_socket_send(socket, 22, content.data(), content.size()));
    expect_named(ktlsb_record_socket_flush(socket));
    expect_named(ktlsb_record_socket_receive(socket, &record));
    ktlsb_record_socket_free(socket);
  }
  for (const int fd : ends) ::close(fd);
}

void use_pieces() {
  std::array<std::uint8_t, 48> out{};
  std::size_t size = 0;
  ktlsb_header header{};
  ktlsb_suite suite{};
  for (std::size_t i = 0; i < ktlsb_suite_count(); ++i) expect_named(ktlsb_suite_at(i, &suite));
  expect_named(ktlsb_decode_header(kTooLong.data(), kTooLong.size(), &header, &size));
  header.is_ssl2 = 1;
  expect_named(ktlsb_encode_header(&header, out.data(), &size));
  for (const std::uint16_t version : {std::uint16_t{0x0300}, std::uint16_t{0x0303}}) {
    expect_named(ktlsb_mac(version, KTLSB_SHA1, kSecret.data(), 20, 0, 23, kSecret.data(), 48,
                           out.data(), out.size(), &size));
    expect_named(ktlsb_prf(version, KTLSB_SHA256, kSecret.data(), 48, "label", kSecret.data(), 48,
                           out.data(), out.size()));
  }
  if (ktlsb_framer* const framer = ktlsb_framer_new()) {
    ktlsb_record record{};
    expect_named(ktlsb_framer_feed(framer, kTooLong.data(), kTooLong.size()));
    EXPECT_LE(ktlsb_framer_want(framer), kTooLong.size());
    expect_named(ktlsb_framer_next(framer, &record));
    ktlsb_framer_free(framer);
  }
}

void use_everything() {
  if (ktlsb_layer* const layer = ktlsb_new()) {
    use_states(layer);
    use_records(layer);
    use_sockets(layer);
    EXPECT_NE(ktlsb_last_error(layer), nullptr);
    ktlsb_free(layer);
  }
  use_pieces();
}

TEST(Memory, ThatRunsOutAnywhereIsAnAnswerAndNoException) {
  use_everything();  // what is made once a process
  std::size_t failed = 0;
  for (bool runs_out = true; runs_out; ++failed) {
    allocations_left = failed;
    EXPECT_NO_THROW(use_everything()) << "allocation " << failed;
    runs_out = !allocations_left;
    allocations_left.reset();
  }
  EXPECT_GT(failed, 50U);
}

// Where an error is refused for want of memory there is still one to tell: next() says which.
TEST(Memory, ThatRunsOutWhereASizeIsAskedForGivesNone) {
  ktlsb_layer* const layer = ktlsb_new();
  ktlsb_framer* const framer = ktlsb_framer_new();
  ASSERT_EQ(ktlsb_set(layer, KTLSB_VERSION, 0x0303), KTLSB_OK);
  ASSERT_EQ(ktlsb_feed(layer, kTooLong.data(), kTooLong.size()), KTLSB_OK);
  ASSERT_EQ(ktlsb_framer_feed(framer, kTooLong.data(), kTooLong.size()), KTLSB_OK);
  allocations_left = 0;
  EXPECT_EQ(ktlsb_want(layer), 0U);
  EXPECT_FALSE(allocations_left) << "an allocation failed";
  allocations_left = 0;
  EXPECT_EQ(ktlsb_framer_want(framer), 0U);
  EXPECT_FALSE(allocations_left) << "an allocation failed";
  ktlsb_record record{};
  EXPECT_EQ(ktlsb_next(layer, &record), KTLSB_RECORD_OVERFLOW);
  EXPECT_EQ(ktlsb_framer_next(framer, &record), KTLSB_RECORD_OVERFLOW);
  ktlsb_framer_free(framer);
  ktlsb_free(layer);
}

}  // namespace
