// OCSP responses read and checked.
#include "userspace/handshake/openssl/staple.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <openssl/err.h>

#include "userspace/handshake/openssl/error_queue.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;

// The clock of the responder may be a little ahead of ours.
constexpr std::time_t kClockSlack_s = 300;

using ResponsePtr = std::unique_ptr<OCSP_RESPONSE, OpensslDeleter<OCSP_RESPONSE_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;

struct Digest {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;

  [[nodiscard]] bool is(const ASN1_OCTET_STRING* other) const {
    const std::span<const unsigned char> octets(
        ASN1_STRING_get0_data(other), static_cast<std::size_t>(ASN1_STRING_length(other)));
    return std::ranges::equal(octets, std::span(bytes).first(size));
  }
};

// The next certificate of the chain, or the leaf itself; nullptr where it is not there.
X509* issuer_of(const Credentials& credentials) {
  X509* const leaf = credentials.leaf.get();
  for (int i = 0; i < sk_X509_num(credentials.chain.get()); ++i) {
    X509* const candidate = sk_X509_value(credentials.chain.get(), i);
    if (X509_check_issued(candidate, leaf) == X509_V_OK) return candidate;
  }
  return X509_check_issued(leaf, leaf) == X509_V_OK ? leaf : nullptr;
}

// Whether the question was about `leaf`. Without its issuer the issuer's key is not compared.
bool is_about(OCSP_SINGLERESP* answer, const X509* leaf, const X509* issuer) {
  ASN1_OCTET_STRING* name = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_OCTET_STRING* key = nullptr;
  ASN1_INTEGER* serial = nullptr;
  auto* const id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(answer));
  if (OCSP_id_get0_info(&name, &algorithm, &key, &serial, id) != 1) return false;
  const EVP_MD* const md = EVP_get_digestbyobj(algorithm);
  Digest digest;
  if (md == nullptr || ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0 ||
      X509_NAME_digest(X509_get_issuer_name(leaf), md, digest.bytes.data(), &digest.size) != 1 ||
      !digest.is(name)) {
    return false;
  }
  return issuer == nullptr ||
         (X509_pubkey_digest(issuer, md, digest.bytes.data(), &digest.size) == 1 && digest.is(key));
}

bool is_signed_for(OCSP_BASICRESP* basic, X509* issuer, STACK_OF(X509) * chain) {
  const StorePtr store(X509_STORE_new());
  if (!store || X509_STORE_add_cert(store.get(), issuer) != 1) return false;
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return OCSP_basic_verify(basic, chain, store.get(), 0) == 1;
}

// 0 for none, and for what is no time.
std::time_t time_of(const ASN1_GENERALIZEDTIME* time) {
  std::tm broken_down{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &broken_down) != 1) return 0;
  return ::timegm(&broken_down);
}

}  // namespace

Result<Staple> Staple::read(const std::string& file) {
  KTLS_TRY(const BioPtr content, read_file(file));
  const char* bytes = nullptr;
  const long size = BIO_ctrl(content.get(), BIO_CTRL_INFO, 0, static_cast<void*>(&bytes));
  Staple staple;
  staple.file_ = file;
  staple.der_.assign(bytes, bytes + size);
  const unsigned char* next = staple.der_.data();
  ERR_clear_error();
  const ResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &next, size));
  if (!response || next != staple.der_.data() + size) {
    ERR_clear_error();
    return fail(Error::of(ErrorCode::kInvalidArgument, file + ": not an OCSP response in DER"));
  }
  const int status = OCSP_response_status(response.get());
  if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return fail(Error::of(ErrorCode::kInvalidArgument, file + ": the OCSP responder answered " +
                                                           OCSP_response_status_str(status)));
  }
  staple.basic_.reset(OCSP_response_get1_basic(response.get()));
  if (!staple.basic_) return fail(openssl_error(ErrorCode::kInvalidArgument, file));
  return staple;
}

Result<bool> Staple::take_for(const Credentials& credentials) {
  X509* const issuer = issuer_of(credentials);
  for (int i = 0; i < OCSP_resp_count(basic_.get()); ++i) {
    OCSP_SINGLERESP* const answer = OCSP_resp_get0(basic_.get(), i);
    if (!is_about(answer, credentials.leaf.get(), issuer)) continue;
    ERR_clear_error();
    if (issuer != nullptr && !is_signed_for(basic_.get(), issuer, credentials.chain.get())) {
      return fail(openssl_error(ErrorCode::kInvalidArgument,
                                file_ + ": the OCSP response is not signed for the issuer of " +
                                    subject_of(credentials.leaf.get())));
    }
    return take_answer(answer);
  }
  return false;
}

bool Staple::take_answer(OCSP_SINGLERESP* answer) {
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  status_ = OCSP_single_get0_status(answer, nullptr, nullptr, &this_update, &next_update);
  this_update_ = time_of(this_update);
  next_update_ = time_of(next_update);
  return true;
}

std::string Staple::objection(std::time_t now) const {
  if (status_ != V_OCSP_CERTSTATUS_GOOD) {
    return std::string("says of the certificate: ") + OCSP_cert_status_str(status_);
  }
  if (next_update_ == 0) return "does not say until when it is good";
  if (next_update_ <= now) return "has expired";
  if (this_update_ > now + kClockSlack_s) return "is not valid yet";
  return {};
}

}  // namespace tls
