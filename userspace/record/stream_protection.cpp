// Records of stream ciphers and of null ciphers with a MAC.
#include "userspace/record/stream_protection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "userspace/record/bad_record_mac.h"

namespace tls {

ktls::Result<std::unique_ptr<Protection>> StreamProtection::create(ProtocolVersion version,
                                                                   const CipherSuite& suite,
                                                                   const TrafficKeys& keys) {
  KTLS_TRY(RecordMac mac, RecordMac::create(version, *suite.mac, keys.mac_key));
  std::optional<StreamCipher> cipher;
  if (suite.bulk_cipher->kind == ProtectionKind::kStream) {
    KTLS_TRY(cipher, StreamCipher::create(*suite.bulk_cipher, keys.key.bytes()));
  }
  return std::unique_ptr<Protection>(
      new StreamProtection(version, std::move(mac), std::move(cipher)));
}

std::size_t StreamProtection::sealed_size(std::size_t content_size, std::size_t /*padding*/) const {
  return kRecordHeaderSize + content_size + mac_.size();
}

ktls::Result<void> StreamProtection::seal(std::uint64_t sequence, const Outgoing& outgoing,
                                          std::span<std::uint8_t> wire) {
  const auto body = wire.subspan(kRecordHeaderSize);
  encode_record_header({.type = outgoing.type,
                        .version = static_cast<std::uint16_t>(version_),
                        .body_size = body.size()},
                       wire.first<kRecordHeaderSize>());
  std::ranges::copy(outgoing.content, body.begin());
  auto done = mac_.compute(sequence, outgoing.type, outgoing.content, body.last(mac_.size()));
  if (!done || !cipher_) return done;
  return cipher_->apply(body, body);
}

ktls::Result<Opened> StreamProtection::open(std::uint64_t sequence, const RecordHeader& header,
                                            std::span<std::uint8_t> body) {
  if (cipher_) {
    if (auto done = cipher_->apply(body, body); !done) return ktls::fail(std::move(done).error());
  }
  if (body.size() < mac_.size()) return bad_record_mac(body);
  const auto content = body.first(body.size() - mac_.size());
  std::array<std::uint8_t, kHashSizeMax> expected{};
  const auto mac = std::span(expected).first(mac_.size());
  auto done = mac_.compute(sequence, header.type, content, mac);
  if (!done) return wiped(body, std::move(done).error());
  if (!same_bytes(mac, body.last(mac_.size()))) return bad_record_mac(body);
  return Opened{.type = header.type, .content = content, .inner_size = content.size()};
}

}  // namespace tls
