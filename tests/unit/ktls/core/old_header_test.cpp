// The kernel floor built against the oldest <linux/tls.h>: it hides nothing that a kernel may have.
#include <gtest/gtest.h>

#include "ktls/core/crypto_info.h"
#include "ktls/core/linux_tls.h"

// Were this program built against another header, this would be a second definition.
struct tls12_crypto_info_aes_gcm_256 {};

namespace ktls {
namespace {

TEST(OldHeader, HidesNoCipher) {
  EXPECT_EQ(cipher_layouts().size(), 8U);
  for (std::uint16_t number = 51; number <= 58; ++number) {
    EXPECT_EQ(layout_of(static_cast<Cipher>(number)).cipher, static_cast<Cipher>(number));
  }
}

TEST(OldHeader, HidesNoOption) {
  EXPECT_EQ(SOL_TLS, 282);
  EXPECT_EQ(TLS_RX, 2);
  EXPECT_EQ(TLS_TX_ZEROCOPY_RO, 3);
  EXPECT_EQ(TLS_RX_EXPECT_NO_PAD, 4);
  EXPECT_EQ(TLS_TX_MAX_PAYLOAD_LEN, 5);
  EXPECT_EQ(TLS_GET_RECORD_TYPE, 2);
}

}  // namespace
}  // namespace ktls
