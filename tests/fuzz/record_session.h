// RecordSession: a reader of records, a peer that seals with the same keys, and the oracle between
// them, which knows what was sealed and so what may be opened.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tests/fuzz/input.h"
#include "userspace/record/record_layer.h"
#include "userspace/suite/cipher_suite.h"

namespace tls::fuzz {

// What a connection state is made from, apart from its keys.
struct Epoch {
  ProtocolVersion version = ProtocolVersion::kTls12;
  const CipherSuite* suite = nullptr;
  bool encrypt_then_mac = false;
  std::uint64_t sequence = 0;
};

// What the fuzzers differ in.
struct Ground {
  RecordRules rules;
  std::span<const std::uint16_t> wire_versions;  // of records in the clear; the first at first
  Epoch (*draw_epoch)(Input&);
};

class RecordSession {
 public:
  RecordSession(const Ground& ground, Input& input);

  // One act after the other, each chosen by the input, until it is used up.
  void run();

 private:
  struct Content {
    ContentType type;
    std::vector<std::uint8_t> bytes;
  };
  struct Sealed {
    std::vector<std::uint8_t> wire;
    std::vector<Content> contents;  // record by record
    std::size_t padding = 0;
    bool is_single = false;
  };
  enum class Damage : std::uint8_t;

  void restart();
  void feed_raw();
  void feed_crafted();
  void send();
  void change_states();
  void change_without_pending();
  void set_limits();
  void set_early_data();
  void set_versions();
  void set_writing();
  void release_read();
  void release_write();
  void close();

  [[nodiscard]] ContentType draw_type();
  [[nodiscard]] std::vector<std::uint8_t> draw_content();
  [[nodiscard]] std::optional<Sealed> seal();
  void check_seal_error(const ktls::Error& error);
  [[nodiscard]] std::vector<Content> fragments_of(const Content& content) const;
  void remember(std::uint64_t sequence, const std::vector<Content>& contents);
  [[nodiscard]] bool damages(std::vector<std::uint8_t>& wire);

  void pump();
  void open_all();
  void open_body_of(std::span<const std::uint8_t> wire);
  void check_need(std::size_t count) const;
  void check_error(const ktls::Error& error);
  // `before` is where content may lie, `copy` what was there before it was opened.
  struct Before {
    std::span<std::uint8_t> place;
    std::vector<std::uint8_t> copy;
    std::uint64_t sequence;
    std::uint64_t records_left;
    bool is_null;
  };
  [[nodiscard]] Before before(std::span<std::uint8_t> place) const;
  void check_record(const Record& record, const Before& before);
  void check_clear_record(const Record& record, const Before& before) const;
  [[nodiscard]] bool must_arrive(const Sealed& sealed) const;
  void check_arrived(const Sealed& sealed) const;
  void check_wiped(const Sealed& sealed) const;

  [[nodiscard]] bool in_step() const;
  [[nodiscard]] bool is_ssl2() const;  // the reader's keys are

  Ground ground_;
  Input& input_;
  RecordLayer reader_;
  RecordLayer peer_;
  std::uint64_t epoch_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Content> sent_;  // by epoch and sequence number

  std::vector<std::uint8_t> wire_;   // lent to the reader
  std::vector<std::uint8_t> queue_;  // on its way there
  std::size_t need_ = 0;
  std::vector<Content> opened_;  // by the last delivery
  std::optional<ktls::Error> error_;
  std::vector<std::uint8_t> failed_;  // what is left of the record that gave the error

  bool is_exact_ = false;  // feeds as many bytes as the reader asks for, not one more
  bool is_whole_ = true;   // in this epoch nothing was fed but what the peer sealed, in order
  std::uint16_t wire_version_ = 0;
  bool is_13_in_clear_ = false;
  bool handshake_finished_ = false;
  bool has_opened_protected_ = false;  // the reader, in any epoch
  std::size_t receive_limit_ = kPlaintextSizeMax;
  std::size_t expansion_max_ = kExpansionMax;
  std::size_t fragment_size_max_ = kPlaintextSizeMax;
  bool pads_ = false;
};

}  // namespace tls::fuzz
