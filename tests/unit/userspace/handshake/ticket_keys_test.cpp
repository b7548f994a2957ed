// Ticket keys over time: what opens, for how long, and under which name; and those that are given.
#include "userspace/handshake/openssl/ticket_keys.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "userspace/handshake/openssl/pointers.h"

namespace tls::test {
namespace {

using namespace std::chrono_literals;
using Found = TicketKeys::Found;
using CipherPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX_free>>;
using MacPtr = std::unique_ptr<EVP_MAC, OpensslDeleter<EVP_MAC_free>>;
using MacContextPtr = std::unique_ptr<EVP_MAC_CTX, OpensslDeleter<EVP_MAC_CTX_free>>;
using Content = std::array<std::uint8_t, 48>;

constexpr auto kLifetime = TicketKeys::kSealingLifetime;

// What libssl brings along for one ticket.
struct Contexts {
  CipherPtr cipher{EVP_CIPHER_CTX_new()};
  MacPtr hmac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
  MacContextPtr mac{EVP_MAC_CTX_new(hmac.get())};

  std::array<std::uint8_t, 32> tag(const Content& content) {
    std::array<std::uint8_t, 32> tag{};
    std::size_t size = 0;
    EXPECT_EQ(EVP_MAC_init(mac.get(), nullptr, 0, nullptr), 1);
    EXPECT_EQ(EVP_MAC_update(mac.get(), content.data(), content.size()), 1);
    EXPECT_EQ(EVP_MAC_final(mac.get(), tag.data(), &size, tag.size()), 1);
    EXPECT_EQ(size, tag.size());
    return tag;
  }

  Content crypt(const Content& content) {
    Content out{};
    int size = 0;
    EVP_CIPHER_CTX_set_padding(cipher.get(), 0);
    EXPECT_EQ(EVP_CipherUpdate(cipher.get(), out.data(), &size, content.data(),
                               static_cast<int>(content.size())),
              1);
    EXPECT_EQ(size, static_cast<int>(content.size()));
    return out;
  }
};

struct Ticket {
  std::array<std::uint8_t, TicketKeys::kNameSize> name{};
  std::array<std::uint8_t, TicketKeys::kIvSize> iv{};
  Content sealed{};
  std::array<std::uint8_t, 32> tag{};
};

class TicketKeysOverTime : public testing::Test {
 protected:
  Ticket seal() {
    Ticket ticket;
    Contexts contexts;
    EXPECT_TRUE(keys_.seal(ticket.name, ticket.iv, contexts.cipher.get(), contexts.mac.get()));
    ticket.sealed = contexts.crypt(content_);
    ticket.tag = contexts.tag(ticket.sealed);
    return ticket;
  }

  // Found::kNone, or what was found and has opened to what was sealed.
  Found open(const Ticket& ticket) {
    Contexts contexts;
    const auto found =
        keys_.open(ticket.name, ticket.iv, contexts.cipher.get(), contexts.mac.get());
    EXPECT_TRUE(found);
    if (found && *found != Found::kNone) {
      EXPECT_EQ(contexts.tag(ticket.sealed), ticket.tag);
      EXPECT_EQ(contexts.crypt(ticket.sealed), content_);
    }
    return found.value_or(Found::kNone);
  }

  std::chrono::steady_clock::time_point now_{1000h};
  TicketKeys keys_{[this] { return now_; }};
  Content content_ = {'m', 'a', 's', 't', 'e', 'r'};
};

TEST_F(TicketKeysOverTime, AKeyOpensWhatItSealed) {
  const Ticket first = seal();
  const Ticket second = seal();
  EXPECT_EQ(first.name, second.name);
  EXPECT_NE(first.iv, second.iv);
  EXPECT_NE(first.sealed, content_);
  EXPECT_EQ(open(first), Found::kCurrent);
  EXPECT_EQ(open(second), Found::kCurrent);
}

TEST_F(TicketKeysOverTime, AKeyOfOthersIsNotFound) {
  Ticket ticket = seal();
  ticket.name.back() ^= 1;
  EXPECT_EQ(open(ticket), Found::kNone);
  TicketKeys others;
  Contexts contexts;
  EXPECT_EQ(others.open(seal().name, ticket.iv, contexts.cipher.get(), contexts.mac.get()).value(),
            Found::kNone);
}

TEST_F(TicketKeysOverTime, AKeyStopsSealingAndGoesOnOpening) {
  const Ticket old = seal();
  now_ += kLifetime - 1s;
  const Ticket last = seal();
  EXPECT_EQ(last.name, old.name);
  now_ += 1s;
  const Ticket next = seal();
  EXPECT_NE(next.name, old.name);
  EXPECT_EQ(open(next), Found::kCurrent);
  EXPECT_EQ(open(last), Found::kPrevious);
}

TEST_F(TicketKeysOverTime, ATicketOpensForTheLifetimeOfItsSession) {
  static_cast<void>(seal());
  now_ += kLifetime - 1s;
  const Ticket last = seal();
  now_ += kSessionLifetime;
  EXPECT_EQ(open(last), Found::kPrevious);
  now_ += 1s;
  EXPECT_EQ(open(last), Found::kNone);
}

TEST_F(TicketKeysOverTime, AKeyThatWasNotUsedForLongIsGone) {
  const Ticket old = seal();
  now_ += 2 * kLifetime;
  EXPECT_EQ(open(old), Found::kNone);
  EXPECT_EQ(open(seal()), Found::kCurrent);
  EXPECT_EQ(open(old), Found::kNone);
}

TEST_F(TicketKeysOverTime, AtMostTwoKeysOpen) {
  std::vector<Ticket> tickets;
  for (int i = 0; i < 4; ++i) {
    tickets.push_back(seal());
    now_ += kLifetime;
  }
  tickets.push_back(seal());
  EXPECT_EQ(
      std::ranges::count_if(tickets, [&](const Ticket& t) { return open(t) != Found::kNone; }), 2);
}

TicketKey key_of(std::uint8_t kind, std::size_t size) {
  TicketKey key{.name = {kind},
                .cipher = decltype(TicketKey::cipher)::with_size(size),
                .mac = decltype(TicketKey::mac)::with_size(size)};
  std::ranges::fill(key.cipher.mutable_bytes(), kind);
  std::ranges::fill(key.mac.mutable_bytes(), static_cast<std::uint8_t>(kind + 1));
  return key;
}

std::vector<TicketKey> keys_of(const std::vector<std::uint8_t>& kinds,
                               std::size_t size = TicketKey::kSizeMax) {
  std::vector<TicketKey> keys;
  for (const std::uint8_t kind : kinds) keys.push_back(key_of(kind, size));
  return keys;
}

class GivenTicketKeys : public TicketKeysOverTime,
                        public testing::WithParamInterface<std::size_t> {};

INSTANTIATE_TEST_SUITE_P(TicketKeys, GivenTicketKeys,
                         testing::Values(TicketKey::kSizeShort, TicketKey::kSizeMax),
                         testing::PrintToStringParamName());

TEST_P(GivenTicketKeys, TheFirstSealsAndAllOpen) {
  keys_.use(keys_of({1, 2, 3}, GetParam()));
  const Ticket first = seal();
  EXPECT_EQ(first.name.front(), 1);
  EXPECT_EQ(open(first), Found::kCurrent);
  keys_.use(keys_of({4, 1}, GetParam()));
  EXPECT_EQ(seal().name.front(), 4);
  EXPECT_EQ(open(first), Found::kPrevious);
  keys_.use(keys_of({4}, GetParam()));
  EXPECT_EQ(open(first), Found::kNone);
}

TEST_P(GivenTicketKeys, OpenOnAnotherMachineThatHasThem) {
  keys_.use(keys_of({7}, GetParam()));
  const Ticket ticket = seal();
  TicketKeys other;
  other.use(keys_of({8, 7}, GetParam()));
  Contexts contexts;
  EXPECT_EQ(other.open(ticket.name, ticket.iv, contexts.cipher.get(), contexts.mac.get()).value(),
            Found::kPrevious);
  EXPECT_EQ(contexts.tag(ticket.sealed), ticket.tag);
  EXPECT_EQ(contexts.crypt(ticket.sealed), content_);
}

TEST_F(TicketKeysOverTime, GivenKeysDoNotAge) {
  keys_.use(keys_of({1}));
  const Ticket ticket = seal();
  now_ += 100 * kLifetime;
  EXPECT_EQ(open(ticket), Found::kCurrent);
  EXPECT_EQ(seal().name, ticket.name);
}

TEST_F(TicketKeysOverTime, GivenKeysEndItsOwn) {
  const Ticket own = seal();
  keys_.use(keys_of({1}));
  EXPECT_EQ(open(own), Found::kNone);
  keys_.use({});
  const Ticket next = seal();
  EXPECT_NE(next.name.front(), 1);
  EXPECT_NE(next.name, own.name);
  EXPECT_EQ(open(own), Found::kNone);
  EXPECT_EQ(open(next), Found::kCurrent);
}

}  // namespace
}  // namespace tls::test
