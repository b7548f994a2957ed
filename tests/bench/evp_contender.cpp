// libcrypto's AEADs as a contender, called as apps/speed.c of OpenSSL 3.0 calls them:
// EVP_Update_loop_aead and EVP_Update_loop_ccm.
#include <array>
#include <stdexcept>
#include <vector>

#include <openssl/evp.h>

#include "tests/bench/contender.h"
#include "userspace/handshake/openssl/pointers.h"

namespace tls::bench {
namespace {

constexpr std::size_t kTagSizeMax = 16;
constexpr std::size_t kAssociatedDataSize = 13;

using CipherPtr = std::unique_ptr<EVP_CIPHER, OpensslDeleter<EVP_CIPHER_free>>;
using CipherCtxPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX_free>>;

void expect(bool done) {
  if (!done) throw std::runtime_error("libcrypto refuses what openssl speed does");
}

class EvpContender final : public Contender {
 public:
  EvpContender(const BulkCipher& cipher, const Load& load)
      : tag_size_(static_cast<int>(cipher.tag_size)),
        records_(load.records),
        content_(load.content_size, 0x5a),
        wire_(load.records * (load.content_size + kTagSizeMax)) {
    const CipherPtr evp_cipher(
        EVP_CIPHER_fetch(nullptr, std::string(cipher.evp_name).c_str(), nullptr));
    expect(evp_cipher != nullptr);
    is_ccm_ = EVP_CIPHER_get_mode(evp_cipher.get()) == EVP_CIPH_CCM_MODE;
    encrypting_ = keyed(evp_cipher.get(), true);
    decrypting_ = keyed(evp_cipher.get(), false);
  }

  void seal_batch() override {
    std::uint8_t* to = wire_.data();
    for (std::size_t i = 0; i < records_; ++i, to += content_.size() + kTagSizeMax) seal(to);
  }

  void open_batch() override {
    std::uint8_t* from = wire_.data();
    for (std::size_t i = 0; i < records_; ++i, from += content_.size() + kTagSizeMax) open(from);
  }

 private:
  CipherCtxPtr keyed(const EVP_CIPHER* cipher, bool encrypts) const {
    CipherCtxPtr context(EVP_CIPHER_CTX_new());
    const std::array<std::uint8_t, EVP_MAX_KEY_LENGTH> key = {1, 2, 3};
    expect(context && EVP_CipherInit_ex(context.get(), cipher, nullptr, nullptr, nullptr,
                                        encrypts ? 1 : 0) == 1);
    if (is_ccm_) {
      expect(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IVLEN, kAeadNonceSize, nullptr) ==
                 1 &&
             EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_size_, nullptr) == 1);
    }
    expect(EVP_CipherInit_ex(context.get(), nullptr, nullptr, key.data(), nullptr, -1) == 1);
    return context;
  }

  void seal(std::uint8_t* to) {
    EVP_CIPHER_CTX* const context = encrypting_.get();
    const int size = static_cast<int>(content_.size());
    std::uint8_t* const tag = to + content_.size();
    int written = 0;
    bool done = EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce_.data()) == 1;
    if (is_ccm_) done = done && EVP_EncryptUpdate(context, nullptr, &written, nullptr, size) == 1;
    done = done &&
           EVP_EncryptUpdate(context, nullptr, &written, associated_data_.data(),
                             static_cast<int>(associated_data_.size())) == 1 &&
           EVP_EncryptUpdate(context, to, &written, content_.data(), size) == 1 &&
           EVP_EncryptFinal_ex(context, tag, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag_size_, tag) == 1;
    expect(done);
  }

  void open(std::uint8_t* from) {
    EVP_CIPHER_CTX* const context = decrypting_.get();
    const int size = static_cast<int>(content_.size());
    std::uint8_t* const tag = from + content_.size();
    int written = 0;
    bool done = EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce_.data()) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_size_, tag) == 1;
    if (is_ccm_) done = done && EVP_DecryptUpdate(context, nullptr, &written, nullptr, size) == 1;
    done = done &&
           EVP_DecryptUpdate(context, nullptr, &written, associated_data_.data(),
                             static_cast<int>(associated_data_.size())) == 1 &&
           EVP_DecryptUpdate(context, from, &written, from, size) == 1;
    // CCM has compared the tag by now.
    if (!is_ccm_) done = done && EVP_DecryptFinal_ex(context, tag, &written) == 1;
    expect(done);
  }

  int tag_size_;
  std::size_t records_;
  bool is_ccm_ = false;
  // As in openssl speed the nonce stays the same: what it costs does not depend on its value.
  std::array<std::uint8_t, kAeadNonceSize> nonce_{};
  std::array<std::uint8_t, kAssociatedDataSize> associated_data_{};
  std::vector<std::uint8_t> content_;
  std::vector<std::uint8_t> wire_;
  CipherCtxPtr encrypting_;
  CipherCtxPtr decrypting_;
};

}  // namespace

std::unique_ptr<Contender> make_evp_contender(const RecordCell& cell, const Load& load) {
  const BulkCipher& cipher = *cell.suite->bulk_cipher;
  if (cipher.kind != ProtectionKind::kAead) return nullptr;
  return std::make_unique<EvpContender>(cipher, load);
}

}  // namespace tls::bench
