// Series: what is counted, as a table: a row has the name that Prometheus knows it by, and the
// labels with all the values that they can have. Nothing that a peer sends makes a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ktls/base/result.h"
#include "userspace/suite/alert.h"
#include "userspace/suite/cipher_suite.h"
#include "userspace/suite/version.h"

namespace metrics {

// In the order of the table, and of the page.
enum class Series : std::uint8_t {
  kConnectionsAccepted,
  kConnectionsRefused,  // Refusal
  kConnections,         // there are at present
  kConnectionsEnded,    // ended_index()
  kConnectionsEndedBy,  // ktls::Reason
  kHandshakesUnderWay,  // tls::Role
  kHandshakes,          // tls::Role, version_index(), whether resumed
  kHandshakeSuites,     // suite_index()
  kHandshakeFailures,   // tls::Role, Failure, alert_index()
  kDirections,          // Direction, ktls::Placement, ktls::Reason
  kPlaintextBytes,      // Direction
  kAlerts,              // Direction, alert_index()
  kKeyUpdates,          // Direction
  kKeyUpdateWaits,
  kHttpRequests,
  kHttpRedirects,
  kReloads,  // tls::Role, ReloadResult
};
inline constexpr std::size_t kSeriesCount = 17;

enum class Direction : std::uint8_t { kReceived, kSent };
enum class Refusal : std::uint8_t {
  kMaxPerAddress,
  kMaxHandshakesPerAddress,
  kProxyHeader,
};
enum class ReloadResult : std::uint8_t { kOk, kFailed, kNothing };

// How a handshake fails.
enum class Failure : std::uint8_t {
  kAlertSent,      // we refused it, with the alert that stands beside it
  kAlertReceived,  // the peer did
  kVerifyFailed,   // the peer's certificate was not accepted, by the alert that stands beside it
  kClosed,         // the peer went away without a word
  kReset,
  kTimeout,
  kCancelled,  // the service ended, or had to make room
  kError,      // of this machine or its configuration
};

enum class Kind : std::uint8_t { kCounter, kGauge };

struct Label {
  std::string_view name;
  std::vector<std::string_view> values;
};

//   is_sparse  a combination of labels is on the page once it has occurred: most never do
//   first      where its cells begin among those of a thread, in the order of the labels
struct Row {
  Series series;
  std::string_view name;
  Kind kind;
  std::string_view help;
  std::vector<Label> labels;
  bool is_sparse = false;
  std::size_t first = 0;

  [[nodiscard]] std::size_t size() const;
};

// One row for each Series, in their order.
[[nodiscard]] std::span<const Row> rows();
[[nodiscard]] const Row& row_of(Series series);
// Cells of all rows together.
[[nodiscard]] std::size_t cell_count();

// Values of labels, as their index: of what is not in the table, the last one.
[[nodiscard]] std::size_t ended_index(std::string_view ended);  // ConnectionLog's word
[[nodiscard]] std::size_t reason_index(std::string_view code);  // of a Reason; "" is none
[[nodiscard]] std::size_t alert_index(tls::AlertDescription alert);
inline constexpr std::size_t kNoAlertIndex = 0;
[[nodiscard]] std::size_t version_index(tls::ProtocolVersion version);
[[nodiscard]] std::size_t suite_index(const tls::CipherSuite& suite);
// The Failure that `error` of a handshake is.
[[nodiscard]] Failure failure_of(const ktls::Error& error);

template <class Enumerator>
[[nodiscard]] constexpr std::size_t index_of(Enumerator value) {
  return static_cast<std::size_t>(value);
}

}  // namespace metrics
