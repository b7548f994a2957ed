// Aead against published ciphertexts, and its own contract, for every cipher.
#include "userspace/crypto/aead.h"

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "tests/vectors/vectors.h"
#include "userspace/crypto/evp_cipher.h"

namespace tls {
namespace {

using vectors::Bytes;
using vectors::from_hex;
using vectors::to_hex;

static_assert(!std::is_copy_constructible_v<Aead> && !std::is_copy_assignable_v<Aead>);
static_assert(std::is_nothrow_move_constructible_v<Aead>);

const BulkCipher& cipher_named(std::string_view name) {
  return *std::ranges::find(bulk_ciphers(), name, &BulkCipher::name);
}

Aead::Nonce nonce_from(std::string_view hex) {
  Aead::Nonce nonce{};
  std::ranges::copy(from_hex(hex), nonce.begin());
  return nonce;
}

// The AEADs that this libcrypto has.
std::vector<const BulkCipher*> available_aeads() {
  std::vector<const BulkCipher*> ciphers;
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.kind == ProtectionKind::kAead && evp_cipher_of(cipher)) ciphers.push_back(&cipher);
  }
  return ciphers;
}

class AeadOfEveryCipher : public testing::TestWithParam<const BulkCipher*> {
 protected:
  static const BulkCipher& cipher() { return *GetParam(); }
  Aead aead() const { return Aead::create(cipher(), Bytes(cipher().key_size, 0x42)).value(); }

  const Aead::Nonce nonce_{1, 2, 3};
  const Bytes data_ = from_hex("170303002a");
  const Bytes plaintext_ = from_hex("00112233445566778899aabbccddeeff01");
  const Bytes trailer_ = from_hex("17");
};

TEST_P(AeadOfEveryCipher, OpensWhatItSealedInPlaceAndElsewhere) {
  Aead aead = this->aead();
  Bytes sealed(plaintext_.size() + trailer_.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, trailer_, sealed));

  Bytes expected = plaintext_;
  expected.insert(expected.end(), trailer_.begin(), trailer_.end());
  Bytes elsewhere(expected.size());
  ASSERT_TRUE(aead.open(nonce_, data_, sealed, elsewhere));
  EXPECT_EQ(elsewhere, expected);

  ASSERT_TRUE(aead.open(nonce_, data_, sealed, std::span(sealed).first(expected.size())));
  EXPECT_TRUE(std::ranges::equal(std::span(sealed).first(expected.size()), expected));
}

TEST_P(AeadOfEveryCipher, SealsInPlaceAsItDoesElsewhere) {
  Aead aead = this->aead();
  Bytes elsewhere(plaintext_.size() + trailer_.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, trailer_, elsewhere));
  Bytes in_place = plaintext_;
  in_place.resize(elsewhere.size());
  ASSERT_TRUE(
      aead.seal(nonce_, data_, std::span(in_place).first(plaintext_.size()), trailer_, in_place));
  EXPECT_EQ(to_hex(in_place), to_hex(elsewhere));
}

TEST_P(AeadOfEveryCipher, TrailerIsSealedAsIfItWereTheEndOfThePlaintext) {
  Aead aead = this->aead();
  Bytes joined = plaintext_;
  joined.insert(joined.end(), trailer_.begin(), trailer_.end());
  Bytes of_two(joined.size() + aead.tag_size());
  Bytes of_one(joined.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, trailer_, of_two));
  ASSERT_TRUE(aead.seal(nonce_, data_, joined, {}, of_one));
  EXPECT_EQ(to_hex(of_two), to_hex(of_one));
}

TEST_P(AeadOfEveryCipher, WipesWhatItCouldNotAuthenticate) {
  Aead aead = this->aead();
  Bytes sealed(plaintext_.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, {}, sealed));
  sealed.back() ^= 1;
  const auto opened = std::span(sealed).first(plaintext_.size());
  const auto result = aead.open(nonce_, data_, sealed, opened);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ktls::ErrorCode::kBadRecordMac);
  EXPECT_EQ(result.error().alert, 20);
  EXPECT_TRUE(std::ranges::all_of(opened, [](std::uint8_t byte) { return byte == 0; }));
}

TEST_P(AeadOfEveryCipher, RefusesOtherAssociatedDataAndOtherNonces) {
  Aead aead = this->aead();
  Bytes sealed(plaintext_.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, {}, sealed));
  Bytes out(plaintext_.size());
  Aead::Nonce other_nonce = nonce_;
  other_nonce.back() ^= 1;
  EXPECT_FALSE(aead.open(other_nonce, data_, sealed, out));
  EXPECT_FALSE(aead.open(nonce_, from_hex("170303002b"), sealed, out));
  EXPECT_TRUE(aead.open(nonce_, data_, sealed, out)) << "a failure leaves no trace in the key";
}

TEST_P(AeadOfEveryCipher, SealsAnEmptyMessageAndOneThatIsATrailerOnly) {
  Aead aead = this->aead();
  for (const Bytes& trailer : {Bytes{}, trailer_}) {
    Bytes sealed(trailer.size() + aead.tag_size());
    ASSERT_TRUE(aead.seal(nonce_, data_, {}, trailer, sealed));
    Bytes out(trailer.size());
    ASSERT_TRUE(aead.open(nonce_, data_, sealed, out));
    EXPECT_EQ(out, trailer);
    sealed.back() ^= 1;
    EXPECT_FALSE(aead.open(nonce_, data_, sealed, out));
  }
}

TEST_P(AeadOfEveryCipher, RefusesEveryFlippedBit) {
  Aead aead = this->aead();
  Bytes sealed(plaintext_.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_, data_, plaintext_, {}, sealed));
  Bytes out(plaintext_.size());
  for (std::size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    Bytes forged = sealed;
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(aead.open(nonce_, data_, forged, out)) << bit;
  }
}

TEST_P(AeadOfEveryCipher, TakesOtherSizesOneAfterTheOther) {
  Aead aead = this->aead();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16384},
                                 std::size_t{15}, std::size_t{0}, std::size_t{64}}) {
    const Bytes message(size, 0x5a);
    Bytes sealed(size + aead.tag_size());
    ASSERT_TRUE(aead.seal(nonce_, data_, message, {}, sealed)) << size;
    Bytes out(size);
    ASSERT_TRUE(aead.open(nonce_, data_, sealed, out)) << size;
    EXPECT_EQ(out, message);
  }
}

TEST_P(AeadOfEveryCipher, LeavesTheErrorQueueAsItWas) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 1);
  const unsigned long before = ERR_peek_last_error();
  Aead aead = this->aead();
  Bytes sealed(aead.tag_size());
  ASSERT_FALSE(aead.open(nonce_, data_, sealed, {}));
  EXPECT_EQ(ERR_get_error(), before);
  EXPECT_EQ(ERR_get_error(), 0U);
}

TEST_P(AeadOfEveryCipher, RefusesSizesThatDoNotFit) {
  Aead aead = this->aead();
  Bytes sealed(plaintext_.size() + aead.tag_size() - 1);
  const auto result = aead.seal(nonce_, data_, plaintext_, {}, sealed);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ktls::ErrorCode::kInvalidArgument);
  Bytes out(plaintext_.size());
  EXPECT_FALSE(aead.open(nonce_, data_, sealed, out));
  EXPECT_FALSE(Aead::create(cipher(), Bytes(cipher().key_size - 1)));
}

INSTANTIATE_TEST_SUITE_P(Aead, AeadOfEveryCipher, testing::ValuesIn(available_aeads()),
                         [](const auto& row) {
                           std::string name(row.param->name);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Aead, AgreesWithTheGcmSpecification) {
  // McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, test case 4.
  Aead aead =
      Aead::create(cipher_named("AES-128-GCM"), from_hex("feffe9928665731c6d6a8f9467308308"))
          .value();
  const Bytes plaintext = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  Bytes sealed(plaintext.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_from("cafebabefacedbaddecaf888"),
                        from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), plaintext, {},
                        sealed));
  EXPECT_EQ(to_hex(sealed),
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
            "5bc94fbc3221a5db94fae95ae7121a47");
}

TEST(Aead, AgreesWithRfc8439) {
  // RFC 8439 section 2.8.2.
  Bytes key(32);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(0x80 + i);
  Aead aead = Aead::create(cipher_named("CHACHA20-POLY1305"), key).value();
  constexpr std::string_view kText =
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
      "sunscreen would be it.";
  const Bytes plaintext(kText.begin(), kText.end());
  Bytes sealed(plaintext.size() + aead.tag_size());
  ASSERT_TRUE(aead.seal(nonce_from("070000004041424344454647"),
                        from_hex("50515253c0c1c2c3c4c5c6c7"), plaintext, {}, sealed));
  EXPECT_EQ(to_hex(std::span(sealed).first(16)), "d31a8d34648e60db7b86afbc53ef7ec2");
  EXPECT_EQ(to_hex(std::span(sealed).last(16)), "1ae10b594f09e26a7e902ecbd0600691");
}

// The ciphers of one mode agree with libcrypto's other door to it, its one-shot function.
TEST(Aead, CcmAgreesWithLibcryptosOneMessageAtATime) {
  struct Row {
    std::string_view name;
    const char* evp_name;
    int tag_size;
  };
  for (const Row& row :
       {Row{"AES-128-CCM", "AES-128-CCM", 16}, Row{"AES-256-CCM", "AES-256-CCM", 16},
        Row{"AES-128-CCM-8", "AES-128-CCM", 8}, Row{"AES-256-CCM-8", "AES-256-CCM", 8}}) {
    const BulkCipher& cipher = cipher_named(row.name);
    const Bytes key(cipher.key_size, 0x42);
    const Bytes message = from_hex("000102030405060708090a0b0c0d0e0f101112");
    const Bytes data = from_hex("1703030024");
    const Aead::Nonce nonce = nonce_from("0102030405060708090a0b0c");
    Aead aead = Aead::create(cipher, key).value();
    ASSERT_EQ(static_cast<int>(aead.tag_size()), row.tag_size);
    Bytes sealed(message.size() + aead.tag_size());
    ASSERT_TRUE(aead.seal(nonce, data, message, {}, sealed));

    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(
        EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    const std::unique_ptr<EVP_CIPHER, decltype(&EVP_CIPHER_free)> evp(
        EVP_CIPHER_fetch(nullptr, row.evp_name, nullptr), EVP_CIPHER_free);
    ASSERT_EQ(EVP_EncryptInit_ex2(context.get(), evp.get(), nullptr, nullptr, nullptr), 1);
    ASSERT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, 12, nullptr), 1);
    ASSERT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, row.tag_size, nullptr), 1);
    ASSERT_EQ(EVP_EncryptInit_ex2(context.get(), nullptr, key.data(), nonce.data(), nullptr), 1);
    int written = 0;
    const int size = static_cast<int>(message.size());
    ASSERT_EQ(EVP_EncryptUpdate(context.get(), nullptr, &written, nullptr, size), 1);
    ASSERT_EQ(EVP_EncryptUpdate(context.get(), nullptr, &written, data.data(), 5), 1);
    Bytes expected(message.size() + aead.tag_size());
    ASSERT_EQ(EVP_EncryptUpdate(context.get(), expected.data(), &written, message.data(), size), 1);
    ASSERT_EQ(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, row.tag_size,
                                  expected.data() + message.size()),
              1);
    EXPECT_EQ(to_hex(sealed), to_hex(expected)) << row.name;
  }
}

TEST(Aead, RefusesACipherThatIsNoAead) {
  for (const BulkCipher& cipher : bulk_ciphers()) {
    if (cipher.kind == ProtectionKind::kAead) continue;
    const auto created = Aead::create(cipher, Bytes(cipher.key_size));
    ASSERT_FALSE(created) << cipher.name;
    EXPECT_EQ(created.error().code, ktls::ErrorCode::kUnsupported) << cipher.name;
  }
}

TEST(Aead, RefusesARowThatLibcryptoDoesNotServe) {
  BulkCipher not_fetched = cipher_named("AES-128-GCM");
  not_fetched.evp_name = "AES-128-SIV";
  BulkCipher long_tag = cipher_named("AES-128-GCM");
  long_tag.tag_size = 17;
  for (const BulkCipher& row : {not_fetched, long_tag}) {
    const auto created = Aead::create(row, Bytes(row.key_size));
    ASSERT_FALSE(created);
    EXPECT_EQ(created.error().code, ktls::ErrorCode::kUnsupported);
  }
}

TEST(Aead, CanBeMovedAndGoesOn) {
  const BulkCipher& cipher = cipher_named("AES-256-GCM");
  Aead first = Aead::create(cipher, Bytes(cipher.key_size, 7)).value();
  Bytes sealed(first.tag_size());
  ASSERT_TRUE(first.seal({}, {}, {}, {}, sealed));
  Aead second = std::move(first);
  EXPECT_TRUE(second.open({}, {}, sealed, {}));
}

}  // namespace
}  // namespace tls
