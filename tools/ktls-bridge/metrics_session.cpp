// Two resources, read-only, and a connection for each request.

#include "tools/ktls-bridge/metrics_session.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "tools/http/request.h"
#include "tools/http/response_head.h"
#include "tools/http/target.h"
#include "tools/metrics/exposition.h"
#include "userspace/bridge/closing.h"

namespace tools {
namespace {

using bridge::Loop;
using bridge::Scope;
using bridge::Task;

// For the request, and once more for its answer. Prometheus gives up after ten seconds itself.
constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(3);
constexpr http::RequestLimits kLimits = {.head_size_max = 8192,
                                         .target_size_max = 2048};  // more than monitoring sends

struct Answer {
  int status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::string text;
};

Answer complaint(int status) {
  return {.status = status, .text = std::string(http::reason_phrase(status)) + "\n"};
}

Answer answer(const http::Request& request, const MetricsPages& pages) {
  if (request.method == http::Method::kOther) return complaint(405);
  const auto target = http::parse_target(request.target);
  if (const auto* refusal = std::get_if<http::Refusal>(&target)) return complaint(refusal->status);
  const std::string& path = std::get<http::Target>(target).path;
  if (path == "/metrics") return {.type = metrics::kExpositionType, .text = pages.metrics()};
  if (path != "/health") return complaint(404);
  const bool is_serving = pages.is_serving();
  return {.status = is_serving ? 200 : 503, .text = is_serving ? "ok\n" : "draining\n"};
}

// As it goes out. Nobody keeps what changes all the time.
std::string response(const Answer& answer, bool is_head) {
  http::ResponseHead head(answer.status);
  head.add("Date", http::text(http::imf_fixdate(
                       std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()))))
      .add("Content-Type", answer.type)
      .add("Content-Length", std::uint64_t{answer.text.size()})
      .add("Cache-Control", "no-store")
      .add("Connection", "close");
  if (answer.status == 405) head.add("Allow", "GET, HEAD");
  auto text = std::move(head).finish();
  if (!text) return {};
  if (!is_head) text->append(answer.text);
  return *std::move(text);
}

// Nothing if no request came.
Task<std::optional<std::string>> read_and_answer(Loop& loop, Scope& scope, int fd,
                                                 const MetricsPages& pages) {
  http::RequestReader reader(kLimits);
  std::string input;
  for (;;) {
    const auto read = reader.read(input);
    if (const auto* request = std::get_if<http::Request>(&read)) {
      co_return response(answer(*request, pages), request->method == http::Method::kHead);
    }
    if (const auto* refusal = std::get_if<http::Refusal>(&read)) {
      co_return response(complaint(refusal->status), http::begins_as_head(input));
    }
    const auto data = co_await loop.receive_pooled(scope, fd);
    if (!data || data->empty()) co_return std::nullopt;
    const auto bytes = data->bytes();
    input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

// A client's, until it has asked.
class Silence {
 public:
  Silence(SilentClients& clients, Cancellation& client) : clients_(clients), client_(client) {
    clients_.add(client_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;
  ~Silence() { clients_.remove(client_); }

 private:
  SilentClients& clients_;
  Cancellation& client_;
};

Task<ktls::Result<void>> send(Loop& loop, Scope& scope, int fd, const std::string& text) {
  auto buffer = co_await loop.lease(scope);
  if (!buffer) co_return ktls::fail(std::move(buffer).error());
  std::span rest(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  while (!rest.empty()) {
    const auto piece = rest.first(std::min(rest.size(), bridge::kBufferSize));
    buffer->truncate(0);
    if (auto copied = buffer->append(piece); !copied) co_return copied;
    auto sent = co_await loop.send(scope, fd, *buffer, 0, piece.size());
    if (!sent) co_return sent;
    rest = rest.subspan(piece.size());
  }
  co_return ktls::Result<void>();
}

}  // namespace

void SilentClients::add(Cancellation& client) {
  if (clients_.size() >= kMax) {
    Cancellation* const first = clients_.front();
    clients_.pop_front();
    first->cancel();
  }
  clients_.push_back(&client);
}

void SilentClients::remove(const Cancellation& client) {
  std::erase(clients_, &client);
}

Task<void> metrics_session(Loop& loop, Cancellation& cancellation, SilentClients& silent,
                           const MetricsPages& pages, ktls::UniqueFd accepted) {
  const int fd = accepted.get();
  std::optional<std::string> text;
  {
    const Silence silence(silent, cancellation);
    Phase phase(loop, cancellation, kTimeout, OnDrain::kEnd);
    text = co_await read_and_answer(loop, phase.scope(), fd, pages);
  }
  if (!text) co_return;
  {
    Phase phase(loop, cancellation, kTimeout);
    const auto sent = co_await send(loop, phase.scope(), fd, *text);
    if (!sent) co_return;
  }
  Phase phase(loop, cancellation, bridge::kLastWordsTimeout);
  co_await bridge::close_gently(loop, phase.scope(), fd);
}

}  // namespace tools
