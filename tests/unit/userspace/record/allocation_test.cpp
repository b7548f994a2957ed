// Counts what the record path of AEADs allocates, in C++ and in libcrypto: nothing.
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include "tests/unit/userspace/record/states.h"
#include "userspace/record/record_layer.h"

namespace {

std::atomic<std::size_t> allocations = 0;

void* counted_malloc(std::size_t size, const char* /*file*/, int /*line*/) {
  ++allocations;
  return std::malloc(size);
}
void* counted_realloc(void* old, std::size_t size, const char* /*file*/, int /*line*/) {
  ++allocations;
  return std::realloc(old, size);
}
void counted_free(void* bytes, const char* /*file*/, int /*line*/) {
  std::free(bytes);
}

// libcrypto takes other allocators only before its first allocation, so before main().
const int counts_libcrypto =
    CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);

}  // namespace

// Not inlined: g++ would see malloc on one side and delete on the other, and call it a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* bytes = std::malloc(size == 0 ? 1 : size)) return bytes;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* bytes) noexcept {
  std::free(bytes);
}
[[gnu::noinline]] void operator delete(void* bytes, std::size_t /*size*/) noexcept {
  std::free(bytes);
}

namespace tls {
namespace {

// AEADs alone: for the HMAC of each record of the others libcrypto itself allocates (3.0 copies its
// digest's context), and nothing of ours could keep it from that. Opening of CBC duplicates the
// EVP_MAC_CTX on top: one whose MAC was computed in constant time cannot be used again.
TEST(RecordPath, AllocatesNothingPerRecordOfAnAead) {
  ASSERT_EQ(counts_libcrypto, 1);
  int aeads = 0;
  for (const test::Use& use : test::every_use()) {
    if (use.kind() != ProtectionKind::kAead) continue;
    ++aeads;
    const std::size_t before_keys = allocations;
    RecordLayer layer;
    layer.set_pending_read(test::state_of(use));
    layer.set_pending_write(test::state_of(use));
    ASSERT_TRUE(layer.change_read_state() && layer.change_write_state());
    ASSERT_GT(allocations, before_keys) << "the counter counts";

    const test::Bytes content = test::content_of(5 * kPlaintextSizeMax + 1);
    test::Bytes wire(layer.sealed_size(content.size()));
    const std::size_t before = allocations;
    const bool sealed = layer.seal(ContentType::kApplicationData, content, wire).has_value();
    layer.feed(wire);
    std::size_t opened = 0;
    while (!layer.unread().empty() && layer.next_record().has_value()) ++opened;
    const std::size_t after = allocations;
    EXPECT_TRUE(sealed);
    EXPECT_EQ(opened, 6U);
    EXPECT_EQ(after, before) << use;
  }
  EXPECT_GE(aeads, 90);
}

}  // namespace
}  // namespace tls
