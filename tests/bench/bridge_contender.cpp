// The record layer as a contender.
#include <stdexcept>
#include <vector>

#include "tests/bench/contender.h"
#include "userspace/crypto/random.h"
#include "userspace/record/record_layer.h"

namespace tls::bench {
namespace {

constexpr std::uint16_t kSsl2WireVersion = 0x0200;

template <typename T>
T expect(ktls::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return *std::move(result);
}

std::vector<std::uint8_t> random_bytes(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  if (!fill_random(bytes)) throw std::runtime_error("no random bytes");
  return bytes;
}

ConnectionState make_state(const RecordCell& cell, const TrafficKeys& keys) {
  const bool sends_iv = cell.suite->bulk_cipher->kind == ProtectionKind::kCbc &&
                        cell.version == ProtocolVersion::kTls12;
  const auto iv_block = random_bytes(sends_iv ? cell.suite->bulk_cipher->block_size : 0);
  return expect(ConnectionState::create(
      cell.version, *cell.suite,
      {.key = keys.key.duplicate(), .iv = keys.iv.duplicate(), .mac_key = keys.mac_key.duplicate()},
      {.encrypt_then_mac = cell.encrypt_then_mac, .fixed_iv_block = iv_block}));
}

TrafficKeys make_keys(const RecordCell& cell) {
  const BulkCipher& cipher = *cell.suite->bulk_cipher;
  const bool has_mac_key = cell.suite->mac && cell.version != ProtocolVersion::kSsl2;
  const std::size_t iv_size =
      cell.version == ProtocolVersion::kTls13 ? iv_size_13(cipher) : cipher.iv_size;
  return {.key = WriteKey(random_bytes(cipher.key_size)),
          .iv = WriteIv(random_bytes(iv_size)),
          .mac_key = MacKey(random_bytes(has_mac_key ? size_of(*cell.suite->mac) : 0))};
}

class BridgeContender final : public Contender {
 public:
  BridgeContender(const RecordCell& cell, const Load& load)
      : writer_(rules_of(cell)),
        reader_(rules_of(cell)),
        records_(load.records),
        content_(random_bytes(load.content_size)) {
    for (RecordLayer* layer : {&writer_, &reader_}) {
      if (cell.version == ProtocolVersion::kSsl2) layer->set_version(kSsl2WireVersion);
      layer->set_handshake_finished(true);
    }
    const TrafficKeys keys = make_keys(cell);
    writer_.set_pending_write(make_state(cell, keys));
    reader_.set_pending_read(make_state(cell, keys));
    if (!writer_.change_write_state() || !reader_.change_read_state()) {
      throw std::runtime_error("the connection states do not change");
    }
    wire_.resize(records_ * writer_.sealed_size(content_.size()));
  }

  void seal_batch() override {
    std::span<std::uint8_t> room = wire_;
    for (std::size_t i = 0; i < records_; ++i) {
      const auto sealed = writer_.seal(ContentType::kApplicationData, content_, room);
      if (!sealed) throw std::runtime_error(sealed.error().message());
      room = room.subspan(*sealed);
    }
    wire_size_ = wire_.size() - room.size();
  }

  void open_batch() override {
    reader_.feed(std::span(wire_).first(wire_size_));
    std::size_t opened = 0;
    while (!reader_.unread().empty()) {
      const auto next = reader_.next_record();
      if (!next) throw std::runtime_error(next.error().message());
      const auto* record = std::get_if<Record>(&*next);
      if (record == nullptr) throw std::runtime_error("a batch ends within a record");
      opened += record->content.size();
    }
    if (opened != records_ * content_.size()) throw std::runtime_error("bytes are lost");
  }

 private:
  static const RecordRules& rules_of(const RecordCell& cell) {
    return cell.version == ProtocolVersion::kSsl2 ? kOpenRules : kStrictRules;
  }

  RecordLayer writer_;
  RecordLayer reader_;
  std::size_t records_;
  std::vector<std::uint8_t> content_;
  std::vector<std::uint8_t> wire_;
  std::size_t wire_size_ = 0;
};

}  // namespace

std::unique_ptr<Contender> make_bridge_contender(const RecordCell& cell, const Load& load) {
  return std::make_unique<BridgeContender>(cell, load);
}

}  // namespace tls::bench
