#include "tests/unit/userspace/bridge/take_control.h"

#include <utility>
#include <variant>

namespace bridge::test {

Task<ktls::Result<void>> take_control(Connection& connection, Scope& scope, int plain_fd) {
  for (;;) {
    auto step = co_await connection.receiver().move_to(scope, plain_fd);
    if (!step) co_return ktls::fail(std::move(step).error());
    if (std::holds_alternative<EndOfStream>(*step)) co_return ktls::Result<void>();
    const auto* record = std::get_if<ControlRecord>(&*step);
    if (record == nullptr) continue;
    auto control = co_await connection.act_on(scope, *record);
    if (!control) co_return ktls::fail(std::move(control).error());
    if (*control == Connection::Control::kCloseNotify) co_return ktls::Result<void>();
  }
}

}  // namespace bridge::test
