// Names of suites looked up in our table, with what libssl has no name for and what does not
// protect a record by an AEAD left out.
#include "userspace/handshake/openssl/suite_list.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "userspace/handshake/openssl/libssl_name.h"

namespace tls {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::fail;
using ktls::Result;
using Suites = std::vector<const CipherSuite*>;

constexpr std::string_view kSeparators = ":, ";

// Forward-secret and authenticated by a pre-shared key: ECDHE before DHE (RFC 8442, RFC 5487,
// RFC 7905, RFC 6655). Of the first two libssl has none so far.
constexpr std::array<std::uint16_t, 7> kForwardSecretPskSuites = {0xD001, 0xD002, 0xCCAC, 0x00AA,
                                                                  0x00AB, 0xCCAD, 0xC0A6};

// RFC 5246 appendix A.5: these suites "are vulnerable to man-in-the-middle attacks".
bool is_anonymous(const CipherSuite& suite) {
  return suite.name.find("_anon_") != std::string_view::npos;
}

const CipherSuite* find_named(std::string_view name) {
  const auto is_named = [name](const CipherSuite& suite) {
    return suite.name == name || libssl_name_of(suite) == name;
  };
  const auto suites = cipher_suites();
  const auto found = std::ranges::find_if(suites, is_named);
  return found == suites.end() ? nullptr : &*found;
}

// Why a suite may not be named for `version`; empty if it may.
std::string_view objection_to(const CipherSuite& suite, ProtocolVersion version) {
  switch (suite.bulk_cipher->kind) {
    case ProtectionKind::kNull:
    case ProtectionKind::kIntegrity:
      return "it does not encrypt";
    case ProtectionKind::kStream:
    case ProtectionKind::kCbc:
      return "it is no AEAD suite: the attacks on its kind are why TLS 1.3 has AEAD alone";
    case ProtectionKind::kAead:
      break;
  }
  if (is_anonymous(suite)) return "it authenticates nobody";
  if (libssl_name_of(suite).empty()) return "this libssl does not have it";
  if (suite.serves(version)) return {};
  return version == ProtocolVersion::kTls13 ? "it is for TLS 1.2, and so for the other list"
                                            : "it is for TLS 1.3, and so for the other list";
}

Result<void> add_named(std::string_view name, ProtocolVersion version, Suites& suites) {
  const auto refuse = [name](std::string_view why) {
    return fail(
        Error::of(ErrorCode::kInvalidArgument, std::string(name) + ": " + std::string(why)));
  };
  const CipherSuite* const suite = find_named(name);
  if (suite == nullptr) {
    return refuse(
        "no cipher suite has this name; `openssl ciphers -v` lists them, and keywords such as HIGH "
        "are not taken");
  }
  if (const auto why = objection_to(*suite, version); !why.empty()) return refuse(why);
  if (std::ranges::find(suites, suite) == suites.end()) suites.push_back(suite);
  return {};
}

Suites default_suites(ProtocolVersion version, bool with_psk) {
  Suites suites;
  if (with_psk && version == ProtocolVersion::kTls12) {
    for (const std::uint16_t id : kForwardSecretPskSuites) {
      const CipherSuite* const suite = find_cipher_suite(id);
      if (suite != nullptr && !libssl_name_of(*suite).empty()) suites.push_back(suite);
    }
  }
  for (const CipherSuite* suite : handshake_suites()) {
    if (suite->serves(version)) suites.push_back(suite);
  }
  return suites;
}

}  // namespace

bool uses_psk(const CipherSuite& suite) {
  return suite.name.find("_PSK_") != std::string_view::npos;
}

Result<Suites> parse_suite_list(std::string_view list, ProtocolVersion version) {
  Suites suites;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find_first_of(kSeparators, begin), list.size());
    if (end != begin) {
      if (auto added = add_named(list.substr(begin, end - begin), version, suites); !added) {
        return fail(added.error());
      }
    }
    begin = end + 1;
  }
  if (suites.empty()) return fail(Error::of(ErrorCode::kInvalidArgument, "it names no suite"));
  return suites;
}

Result<Suites> offered_suites(const SuiteChoice& choice, ProtocolVersion version) {
  const std::string& list =
      version == ProtocolVersion::kTls13 ? choice.ciphersuites : choice.ciphers;
  if (list.empty()) return default_suites(version, choice.with_psk);
  KTLS_TRY(Suites suites, parse_suite_list(list, version));
  const auto found =
      std::ranges::find_if(suites, [](const CipherSuite* suite) { return uses_psk(*suite); });
  if (found != suites.end() && !choice.with_psk) {
    return fail(Error::of(ErrorCode::kInvalidArgument,
                          std::string((*found)->name) + ": it needs pre-shared keys"));
  }
  return suites;
}

bool has_psk_hash(const CipherSuite& suite) {
  return suite.prf_hash == HashAlgorithm::kSha256;
}

Result<void> check_psk_suites(const SuiteChoice& choice) {
  KTLS_TRY(const Suites suites, offered_suites(choice, ProtocolVersion::kTls13));
  const bool has_one =
      std::ranges::any_of(suites, [](const CipherSuite* suite) { return has_psk_hash(*suite); });
  if (has_one) return {};
  return fail(Error::of(ErrorCode::kInvalidArgument,
                        "pre-shared keys need one with SHA-256, such as TLS_AES_128_GCM_SHA256 "
                        "(RFC 8446 section 4.2.11)"));
}

std::string libssl_list_of(const Suites& suites) {
  std::string names;
  for (const CipherSuite* suite : suites) {
    if (!names.empty()) names += ':';
    names += libssl_name_of(*suite);
  }
  return names;
}

std::vector<ktls::Cipher> kernel_ciphers_of(const SuiteChoice& choice) {
  const auto own = handshake_kernel_ciphers();
  std::vector<ktls::Cipher> ciphers(own.begin(), own.end());
  for (const ProtocolVersion version : {ProtocolVersion::kTls12, ProtocolVersion::kTls13}) {
    const auto suites = offered_suites(choice, version);
    if (!suites) continue;
    for (const CipherSuite* suite : *suites) {
      const auto& kernel = suite->bulk_cipher->kernel;
      if (kernel && std::ranges::find(ciphers, *kernel) == ciphers.end()) {
        ciphers.push_back(*kernel);
      }
    }
  }
  return ciphers;
}

}  // namespace tls
