// metrics_page(): everything that there is to know of a service, as one page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tools/metrics/metrics.h"

namespace metrics {

// What does not change while it runs.
struct ServiceFacts {
  std::string command;  // "wrap"
  std::string version;
  std::string loop;         // of its connections: "io_uring"
  bool kernel_tls = false;  // the kernel offers TLS
  bool rekey = false;       // and changes keys
  std::size_t connections_max = 0;
};

//   host       empty: the default
//   not_after  seconds since 1970
struct Certificate {
  std::string host;
  std::string sha256;
  std::int64_t not_after = 0;
};

// `certificates` that are alike are on the page once.
[[nodiscard]] std::string metrics_page(const Metrics& metrics, const ServiceFacts& facts,
                                       const std::vector<Certificate>& certificates);

}  // namespace metrics
