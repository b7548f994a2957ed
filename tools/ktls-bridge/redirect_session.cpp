// One request, one redirect, and the end: whoever follows it comes back by TLS.

#include "tools/ktls-bridge/redirect_session.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "tools/common/address.h"
#include "tools/http/authority.h"
#include "tools/http/request.h"
#include "tools/http/site.h"
#include "tools/ktls-bridge/admission.h"
#include "tools/ktls-bridge/connection_metrics.h"
#include "userspace/bridge/closing.h"

namespace tools {
namespace {

using bridge::Loop;
using bridge::Task;
using ktls::Result;

constexpr std::uint16_t kHttpsPort = 443;

http::Response refuse(int status, bool is_head, const ServeSetting& setting) {
  return http::error_response({.status = status, .is_head = is_head}, setting.redirect_policy,
                              http::now_realtime(), this_thread().dates);
}

http::Response redirect(const http::Request& request, const ServeSetting& setting) {
  const bool is_head = request.method == http::Method::kHead;
  auto target = http::parse_target(request.target);
  if (const auto* refusal = std::get_if<http::Refusal>(&target)) {
    return refuse(refusal->status, is_head, setting);
  }
  const auto& parsed = std::get<http::Target>(target);
  // Its port, if it has one, is that of plain HTTP.
  const std::string_view host = http::host_of(parsed.authority.value_or(request.host()));
  if (host.empty()) return refuse(400, is_head, setting);
  std::string location = std::string("https://").append(host);
  if (setting.https_port != kHttpsPort) {
    location.append(":").append(std::to_string(setting.https_port));
  }
  location += http::percent_encode_path(parsed.path);
  if (parsed.query) location.append("?").append(*parsed.query);
  return http::redirect_response(location, false, setting.redirect_policy, http::now_realtime(),
                                 this_thread().dates);
}

// The head of a request, or the answer to what is none; nothing if none came.
Task<std::optional<http::Response>> read_and_answer(Loop& loop, bridge::Scope& scope, int fd,
                                                    const ServeSetting& setting) {
  http::RequestReader reader(setting.options.request);
  std::string input;
  for (;;) {
    const auto read = reader.read(input);
    if (const auto* request = std::get_if<http::Request>(&read)) {
      co_return redirect(*request, setting);
    }
    if (const auto* refusal = std::get_if<http::Refusal>(&read)) {
      co_return refuse(refusal->status, http::begins_as_head(input), setting);
    }
    const auto data = co_await loop.receive_pooled(scope, fd);
    if (!data || data->empty()) co_return std::nullopt;
    const auto bytes = data->bytes();
    input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

Task<Result<void>> send(Loop& loop, bridge::Scope& scope, int fd, const std::string& text) {
  auto buffer = co_await loop.lease(scope);
  if (!buffer) co_return ktls::fail(std::move(buffer).error());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  if (auto copied = buffer->append(std::span(bytes, text.size())); !copied) co_return copied;
  co_return co_await loop.send(scope, fd, *buffer, 0, text.size());
}

}  // namespace

Task<void> redirect_session(Loop& loop, Cancellation& cancellation, const ServeSetting& setting,
                            ktls::UniqueFd accepted) {
  const int fd = accepted.get();
  const CountedPlace counted(setting.tls.counts());
  const auto origin =
      co_await find_origin(loop, cancellation, setting.origin(), setting.tls, accepted);
  if (!origin) co_return;
  const AddressLimit::Place place = admit(setting.addresses, setting.tls, accepted, origin->peer);
  if (!place) co_return;
  count_redirect(setting.tls.counts());
  std::optional<http::Response> response;
  {
    Phase phase(loop, cancellation, setting.options.request_timeout, OnDrain::kEnd);
    response = co_await read_and_answer(loop, phase.scope(), fd, setting);
  }
  if (!response) co_return;
  {
    Phase phase(loop, cancellation, setting.options.pace.grace);
    const std::string text = response->head + response->body.after;
    if (const auto sent = co_await send(loop, phase.scope(), fd, text); !sent) co_return;
  }
  Phase phase(loop, cancellation, bridge::kLastWordsTimeout);
  co_await bridge::close_gently(loop, phase.scope(), fd);
}

}  // namespace tools
