// Puts the flags of all commands together.

#include "tools/ktls-bridge/commands.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "tools/broker/broker.h"
#include "tools/common/exit_code.h"
#include "tools/common/log.h"
#include "tools/completion/completion.h"
#include "tools/hardening/core_dump.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/complaint_place.h"
#include "tools/ktls-bridge/run.h"
#include "tools/ktls-bridge/serve.h"
#include "tools/ktls-bridge/version.h"
#include "tools/ktls-bridge/wrap.h"

namespace tools {
namespace {

constexpr const char* kFooter = R"(Examples:
  # All services of a file, each in a process of its own
  ktls-bridge --config /etc/ktls-bridge/ktls-bridge.toml

  # What is wrong with it, by line and column
  ktls-bridge --check-config /etc/ktls-bridge/ktls-bridge.toml

`ktls-bridge COMMAND --help` has the flags and examples of a command.)";

constexpr const char* kCompletionExamples = R"(Examples:
  # In this shell
  source <(ktls-bridge completion bash)

  # For good
  ktls-bridge completion zsh > ~/.zfunc/_ktls-bridge
  ktls-bridge completion fish > ~/.config/fish/completions/ktls-bridge.fish)";

void add_completion_command(CLI::App& app, std::string& shell) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print what makes a shell complete commands and flags");
  completion->footer(kCompletionExamples);
  completion->add_option("SHELL", shell, "The shell")
      ->check(CLI::IsMember({"bash", "fish", "zsh"}).description(""))
      ->type_name("bash|fish|zsh")
      ->required();
}

// Runs a command with core dumps as they were asked for; an exit code where they cannot be had.
int run_settled(const char* command, const HardeningOptions& options, bool starts_programs,
                const std::function<int()>& run) {
  if (options.core) {
    if (const auto allowed = allow_core_dumps(); !allowed) {
      return complain(command, {kExitUnavailable, "--core: " + allowed.error().message()});
    }
  } else if (!starts_programs) {
    forbid_core_dumps_for_good();
  }
  return run();
}

// A name that is empty, as of a variable that was never set, would be as good as no flag at all:
// clients would not be asked for certificates, and root would stay root.
void refuse_empty_values(CLI::App& command) {
  for (CLI::Option* const option : command.get_options()) {
    const std::string type = option->get_type_name();
    const bool is_name = type.starts_with("FILE") || type.starts_with("DIR") ||
                         type.starts_with("PATH") || type.starts_with("NAME") || type == "USER" ||
                         type == "GROUP";
    if (!is_name) continue;
    option->check(CLI::Validator(
        [](const std::string& value) { return value.empty() ? "it is empty" : std::string(); },
        ""));
  }
}

}  // namespace

Commands::Commands(Demand demand)
    : app_("ktls-bridge: TLS handshakes in userspace, TLS records in the kernel where it can") {
  app_.name("ktls-bridge");
  app_.set_version_flag("--version", std::string("ktls-bridge ") + kVersion);
  app_.require_subcommand(1);
  app_.footer(kFooter);
  app_.add_option("--config", config_,
                  "Run the services of a TOML file: its tables [[wrap]] and "
                  "[[serve]], with the flags as keys")
      ->type_name("FILE");
  app_.add_option("--check-config", checked_config_,
                  "Check the file and all that it names, then exit")
      ->type_name("FILE");
  add_wrap_command(app_, wrap_);
  add_serve_command(app_, serve_);
  for (const char* const name : {"wrap", "serve"}) {
    command(name)
        .add_option("--config", command_config_,
                    "Take what the command line does not say from a TOML file, with the flags as "
                    "keys")
        ->type_name("FILE");
  }
  add_broker_command(app_, broker_);
  add_run_command(app_, run_);
  add_completion_command(app_, shell_);
  for (CLI::App* const each : app_.get_subcommands({})) refuse_empty_values(*each);
  if (demand == Demand::kNothing) demand_nothing();
}

void Commands::demand_nothing() {
  app_.require_subcommand(0, 1);
  for (CLI::App* command : app_.get_subcommands({})) {
    for (CLI::Option* option : command->get_options()) {
      option->required(false);
      const auto needs = option->get_needs();
      for (CLI::Option* each : needs) option->remove_needs(each);
    }
  }
}

std::optional<int> Commands::parse(std::vector<std::string> words) {
  std::ranges::reverse(words);  // as CLI11 wants them
  try {
    app_.parse(std::move(words));
    return std::nullopt;
  } catch (const CLI::Success& success) {
    return app_.exit(success);  // --help, --version
  } catch (const CLI::ParseError& error) {
    const std::string name = chosen().empty() ? "" : " " + chosen();
    std::fprintf(stderr, "ktls-bridge%s: %s (see ktls-bridge%s --help)\n", name.c_str(),
                 one_line(located(error.what())).c_str(), name.c_str());
    return kExitUsage;
  }
}

std::string Commands::chosen() const {
  const auto commands = app_.get_subcommands();
  return commands.empty() ? "" : commands.front()->get_name();
}

std::vector<Address> Commands::listened_addresses() const {
  std::vector<Address> addresses = wrap_.listen;
  addresses.insert(addresses.end(), serve_.listen.begin(), serve_.listen.end());
  for (const auto* more : {&serve_.redirect_from, &service().metrics}) {
    addresses.insert(addresses.end(), more->begin(), more->end());
  }
  return addresses;
}

const ServiceOptions& Commands::service() const {
  return chosen() == "serve" ? serve_.service : wrap_.service;
}

void Commands::only_check() {
  wrap_.check = true;
  serve_.check = true;
}

int Commands::run() const {
  const std::string name = chosen();
  if (name == "run") {
    return run_settled("run", run_.broker.service.hardening, true,
                       [this] { return run_run(run_); });
  }
  if (name == "broker") {
    return run_settled("broker", broker_.service.hardening, false,
                       [this] { return run_broker(broker_); });
  }
  if (name == "completion") {
    std::fputs(completion_of(app_, shell_).c_str(), stdout);
    return std::fflush(stdout) == 0 ? kExitOk : kExitCannotCreate;
  }
  if (name == "serve") {
    return run_settled("serve", serve_.service.hardening, false,
                       [this] { return run_serve(serve_); });
  }
  return run_settled("wrap", wrap_.service.hardening, wrap_.program.wanted(),
                     [this] { return run_wrap(wrap_); });
}

}  // namespace tools
