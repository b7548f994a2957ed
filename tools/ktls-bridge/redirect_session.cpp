// One request, one redirect, and the end: whoever follows it comes back by TLS.

#include "tools/ktls-bridge/redirect_session.h"

#include <string>
#include <utility>
#include <variant>

#include "tools/common/address.h"
#include "tools/http/request.h"
#include "tools/http/site.h"
#include "userspace/bridge/closing.h"

namespace tools {
namespace {

using bridge::Loop;
using bridge::Task;
using ktls::Result;

constexpr std::uint16_t kHttpsPort = 443;

// RFC 9110 section 7.2: a host, perhaps with a port, which is that of plain HTTP.
std::string_view without_port(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return has_port ? authority.substr(0, colon) : authority;
}

http::Response redirect(const http::Request& request, const ServeSetting& setting,
                        http::DateCache& dates) {
  const timespec now = http::now_realtime();
  const auto refuse = [&](int status) {
    return http::error_response({.status = status,
                                 .keep_alive = false,
                                 .is_head = request.method == http::Method::kHead,
                                 .accepts_html = false,
                                 .extra = {}},
                                setting.redirect_policy, now, dates);
  };
  auto target = http::parse_target(request.target);
  if (const auto* refusal = std::get_if<http::Refusal>(&target)) return refuse(refusal->status);
  const auto& parsed = std::get<http::Target>(target);
  const std::string_view host = without_port(parsed.authority.value_or(request.host()));
  if (host.empty()) return refuse(400);
  std::string location = std::string("https://").append(host);
  if (setting.https_port != kHttpsPort) {
    location.append(":").append(std::to_string(setting.https_port));
  }
  location += http::percent_encode_path(parsed.path);
  if (parsed.query) location.append("?").append(*parsed.query);
  return http::redirect_response(location, false, setting.redirect_policy, now, dates);
}

// The head of a request, or the answer to what is none; nothing if none came.
Task<std::optional<http::Response>> read_and_answer(Loop& loop, bridge::Scope& scope, int fd,
                                                    const ServeSetting& setting) {
  http::RequestReader reader(setting.options.request);
  http::DateCache dates;
  std::string input;
  for (;;) {
    const auto read = reader.read(input);
    if (const auto* request = std::get_if<http::Request>(&read)) {
      co_return redirect(*request, setting, dates);
    }
    if (const auto* refusal = std::get_if<http::Refusal>(&read)) {
      const http::ErrorAnswer refused{.status = refusal->status,
                                      .keep_alive = false,
                                      .is_head = false,
                                      .accepts_html = false,
                                      .extra = {}};
      co_return http::error_response(refused, setting.redirect_policy, http::now_realtime(), dates);
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
  const AddressLimit::Place place = setting.addresses.take(peer_address(accepted.get()));
  if (!place) co_return;
  Phase phase(loop, cancellation, setting.options.request_timeout, OnDrain::kEnd);
  const auto response = co_await read_and_answer(loop, phase.scope(), accepted.get(), setting);
  if (!response) co_return;
  const auto sent =
      co_await send(loop, phase.scope(), accepted.get(), response->head + response->body.after);
  if (sent) co_await bridge::close_gently(loop, phase.scope(), accepted.get());
}

}  // namespace tools
