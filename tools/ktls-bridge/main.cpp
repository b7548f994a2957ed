// ktls-bridge: the program; it parses the command line and runs the subcommand.

#include <cstdio>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/broker/broker.h"
#include "tools/broker/broker_options.h"
#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/hardening/core_dump.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/run.h"
#include "tools/ktls-bridge/run_options.h"
#include "tools/ktls-bridge/serve.h"
#include "tools/ktls-bridge/serve_options.h"
#include "tools/ktls-bridge/version.h"
#include "tools/ktls-bridge/wrap.h"
#include "tools/ktls-bridge/wrap_options.h"

namespace {

// Runs a command with core dumps as they were asked for; an exit code where they cannot be had.
int run_settled(const char* command, const tools::HardeningOptions& options, bool starts_programs,
                const std::function<int()>& run) {
  if (options.core) {
    if (const auto allowed = tools::allow_core_dumps(); !allowed) {
      return tools::complain(command,
                             {tools::kExitUnavailable, "--core: " + allowed.error().message()});
    }
  } else if (!starts_programs) {
    tools::forbid_core_dumps_for_good();
  }
  return run();
}

// " wrap" where that is what was asked for; nothing if no command was.
std::string chosen_command(const CLI::App& app) {
  for (const CLI::App* command : app.get_subcommands()) return " " + command->get_name();
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  tools::Program::remember_limits();
  tools::Program::remember_signals();
  tools::forbid_core_dumps();  // this process holds private keys and traffic secrets
  CLI::App app("ktls-bridge: TLS handshakes in userspace, TLS records in the kernel where it can");
  app.name("ktls-bridge");
  app.set_version_flag("--version", std::string("ktls-bridge ") + tools::kVersion);
  app.require_subcommand(1);
  app.footer("`ktls-bridge COMMAND --help` has the flags and examples of a command.");
  tools::WrapOptions wrap;
  tools::add_wrap_command(app, wrap);
  tools::ServeOptions serve;
  tools::add_serve_command(app, serve);
  tools::BrokerOptions broker;
  tools::add_broker_command(app, broker);
  tools::RunOptions run;
  tools::add_run_command(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help, --version
  } catch (const CLI::ParseError& error) {
    const std::string what = tools::one_line(error.what());
    const std::string command = chosen_command(app);
    std::fprintf(stderr, "ktls-bridge%s: %s (see ktls-bridge%s --help)\n", command.c_str(),
                 what.c_str(), command.c_str());
    return tools::kExitUsage;
  }
  if (app.got_subcommand("run")) {
    return run_settled("run", run.broker.service.hardening, true,
                       [&run] { return tools::run_run(run); });
  }
  if (app.got_subcommand("broker")) {
    return run_settled("broker", broker.service.hardening, false,
                       [&broker] { return tools::run_broker(broker); });
  }
  if (app.got_subcommand("serve")) {
    return run_settled("serve", serve.service.hardening, false,
                       [&serve] { return tools::run_serve(serve); });
  }
  return run_settled("wrap", wrap.service.hardening, wrap.program.wanted(),
                     [&wrap] { return tools::run_wrap(wrap); });
}
