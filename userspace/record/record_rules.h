// RecordRules: what a RecordLayer asks of records beyond what it needs to open them. The standards
// ask for more than tlslite-ng does, whose record layer is the one that known answers come from.
#pragma once

#include <cstddef>

namespace tls {

// Empty records are legal (RFC 8446 section 5.1: "Zero-length fragments of Application Data MAY be
// sent, as they are potentially useful as a traffic analysis countermeasure"), but each costs a
// decryption and brings nothing: this many in a row are taken, the next one ends the connection.
// BoringSSL's kMaxEmptyRecords has the same reason and the same number.
inline constexpr std::size_t kEmptyRecordsMax = 32;

//   checks_headers     a record's version and type are the connection's, before it is opened; of
//                      those in the clear the major version is 3, as RFC 8446 section 5.1 says of
//                      legacy_record_version that it "MUST be ignored for all purposes"
//   checks_types       only the content types that the version knows, none of them empty that may
//                      not be (RFC 8446 sections 5 and 5.4), and not too many empty ones
//   takes_ssl2         a record may have SSLv2's header, whatever the version is: a hello may
//   takes_clear_records  in TLS 1.3 under keys: change_cipher_spec (RFC 8446 appendix D.4), and an
//                      alert before the first protected record, from a peer that got no keys
//   changes_to_clear_unsafely  a change without a pending state is one to records in the clear. For
//                      comparison with known answers alone: it makes one mistake plaintext.
struct RecordRules {
  bool checks_headers;
  bool checks_types;
  bool takes_ssl2;
  bool takes_clear_records;
  bool changes_to_clear_unsafely;
};

// For connections whose handshake is over, and for TLS 1.2 and 1.3 in general.
inline constexpr RecordRules kStrictRules = {.checks_headers = true,
                                             .checks_types = true,
                                             .takes_ssl2 = false,
                                             .takes_clear_records = false,
                                             .changes_to_clear_unsafely = false};

// For every version, and for a caller that checks for itself what its handshake allows.
inline constexpr RecordRules kOpenRules = {.checks_headers = false,
                                           .checks_types = false,
                                           .takes_ssl2 = true,
                                           .takes_clear_records = true,
                                           .changes_to_clear_unsafely = false};

}  // namespace tls
