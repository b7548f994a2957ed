// ktls-bridge: the program; it parses the command line and runs the subcommand.

#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tools/broker/broker.h"
#include "tools/broker/broker_options.h"
#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/ktls-bridge/program.h"
#include "tools/ktls-bridge/run.h"
#include "tools/ktls-bridge/run_options.h"
#include "tools/ktls-bridge/serve.h"
#include "tools/ktls-bridge/serve_options.h"
#include "tools/ktls-bridge/version.h"
#include "tools/ktls-bridge/wrap.h"
#include "tools/ktls-bridge/wrap_options.h"

namespace {

// This process holds private keys and traffic secrets: no core dump, and no ptrace by processes
// of the same user, which PR_SET_DUMPABLE forbids too.
void keep_memory_private() {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
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
  keep_memory_private();
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
  if (app.got_subcommand("run")) return tools::run_run(run);
  if (app.got_subcommand("broker")) return tools::run_broker(broker);
  return app.got_subcommand("serve") ? tools::run_serve(serve) : tools::run_wrap(wrap);
}
