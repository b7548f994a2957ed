// One command with or without a file, or all services of one.

#include "tools/ktls-bridge/command_line.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "tools/common/address.h"
#include "tools/common/exit_code.h"
#include "tools/config/config_file.h"
#include "tools/config/config_origin.h"
#include "tools/config/section_words.h"
#include "tools/ktls-bridge/commands.h"
#include "tools/ktls-bridge/complaint.h"
#include "tools/ktls-bridge/complaint_place.h"
#include "tools/ktls-bridge/service_group.h"
#include "tools/supervision/inherited_sockets.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::Result;

// Those that a table may be named after.
constexpr std::array<std::string_view, 2> kCommands = {"wrap", "serve"};

Error refusal(const std::string& what) {
  return Error::of(ktls::ErrorCode::kInvalidArgument, what);
}

int complain_of_file(std::string_view command, const Error& error) {
  const bool is_unreadable = error.code == ktls::ErrorCode::kSystem;
  return complain(command, is_unreadable ? Complaint{kExitNoInput, "--config " + error.message()}
                                         : Complaint{kExitUsage, error.detail});
}

void locate_by(ConfigOrigin origin) {
  locate_complaints(
      [origin = std::move(origin)](std::string_view complaint) { return origin.of(complaint); });
}

// The table that is meant for `command`, and no other may be there.
Result<ConfigSection> only_section(const ConfigFile& file, const std::string& command) {
  const ConfigSection* found = nullptr;
  for (const ConfigSection& section : file.sections) {
    if (section.command != command) {
      return ktls::fail(refusal(file.at(section.place) + ": a table [[" + section.command +
                                "]] is for ktls-bridge --config"));
    }
    if (found != nullptr) {
      return ktls::fail(
          refusal(file.at(section.place) + ": several services are for ktls-bridge --config"));
    }
    found = &section;
  }
  if (found != nullptr) return *found;
  return ConfigSection{.command = command, .name = {}, .place = {}, .items = {}};
}

std::vector<std::string> joined(const std::string& command, const SectionWords& section,
                                const std::vector<std::string>& given) {
  std::vector<std::string> words = {command};
  words.insert(words.end(), section.flags.begin(), section.flags.end());
  words.insert(words.end(), given.begin(), given.end());
  if (!section.positionals.empty()) {
    if (std::ranges::find(given, "--") == given.end()) words.emplace_back("--");
    words.insert(words.end(), section.positionals.begin(), section.positionals.end());
  }
  return words;
}

// `given` is the command line as far as it is known without the file.
int run_with_file(const Commands& given, const std::vector<std::string>& words) {
  const std::string name = given.chosen();
  auto file = read_config(given.command_config(), kCommands);
  if (!file) return complain_of_file(name, file.error());
  auto section = only_section(*file, name);
  if (!section) return complain_of_file(name, section.error());
  Commands trial(Commands::Demand::kNothing);
  auto from_file =
      words_of(*file, *section, trial.command(name), keys_given(given.command(name)), false);
  if (!from_file) return complain_of_file(name, from_file.error());
  locate_by({*file, section->place, from_file->items});
  Commands commands(Commands::Demand::kAll);
  const std::vector<std::string> after_name(std::ranges::find(words, name) + 1, words.end());
  if (const auto ended = commands.parse(joined(name, *from_file, after_name))) return *ended;
  return commands.run();
}

// One service of several.
struct Configured {
  std::unique_ptr<Commands> commands;
  ConfigOrigin origin;
  std::string name;
};

// A key above the tables that no table takes is a mistake.
Result<void> check_shared(const ConfigFile& file, Commands& trial) {
  for (const ConfigItem& item : file.shared) {
    ConfigFile alone{.path = file.path, .shared = {item}, .sections = {}};
    Result<SectionWords> last;
    const bool is_known = std::ranges::any_of(file.sections, [&](const ConfigSection& section) {
      const ConfigSection empty{.command = section.command, .name = {}, .place = {}, .items = {}};
      last = words_of(alone, empty, trial.command(section.command), {}, false);
      return last.has_value();
    });
    if (!is_known) return ktls::fail(last.error());
  }
  return {};
}

// Parses the tables; each mistake is said, and answered by its exit code.
std::optional<int> parse_sections(const ConfigFile& file, std::vector<Configured>& services) {
  Commands trial(Commands::Demand::kNothing);
  if (const auto checked = check_shared(file, trial); !checked) {
    return complain_of_file("", checked.error());
  }
  for (const ConfigSection& section : file.sections) {
    auto words = words_of(file, section, trial.command(section.command), {}, true);
    if (!words) return complain_of_file(section.command, words.error());
    ConfigOrigin origin(file, section.place, words->items);
    locate_by(origin);
    auto commands = std::make_unique<Commands>(Commands::Demand::kAll);
    if (const auto ended = commands->parse(joined(section.command, *words, {}))) return ended;
    if (commands->is_for_one_connection()) {
      return complain(section.command,
                      {kExitUsage, "--fd is for one connection, and not for a service"});
    }
    services.push_back({std::move(commands), std::move(origin), section.name});
  }
  locate_complaints(nullptr);
  return std::nullopt;
}

// What no two services can have.
std::set<std::string> places_of(const Address& address) {
  std::set<std::string> places;
  if (address.is_inherited()) {
    for (const std::string& each : InheritedSockets::meant_by(address)) places.insert(each);
    return places;
  }
  const auto found = resolve(address, true);
  if (!found) return places;  // whoever binds it will say so
  for (const SocketAddress& each : *found) places.insert(each.text());
  return places;
}

// Two services of one port would each get some of its connections: the kernel lets processes of
// one user share it.
std::optional<int> check_addresses(const std::vector<Configured>& services) {
  struct Holder {
    const Configured* service;
    std::string address;  // as it is written there
  };
  std::map<std::string, Holder> taken;
  for (const Configured& service : services) {
    std::map<std::string, Holder> own;
    for (const Address& address : service.commands->listened_addresses()) {
      if (address.kind == Address::Kind::kTcp && address.port == 0) continue;
      const std::set<std::string> places = places_of(address);
      for (const std::string& each : places) own.emplace(each, Holder{&service, address.text()});
      const auto* const other = [&]() -> const Holder* {
        for (const std::string& each : places) {
          if (const auto at = taken.find(each); at != taken.end()) return &at->second;
        }
        return nullptr;
      }();
      if (other == nullptr) continue;
      locate_by(service.origin);
      return complain(
          service.commands->chosen(),
          {kExitUsage, address.text() + ": " + other->service->name + " at " +
                           other->service->origin.of(other->address) + " listens there, too"});
    }
    taken.insert(own.begin(), own.end());
  }
  return std::nullopt;
}

std::vector<GroupedService> as_grouped(std::vector<Configured>& services) {
  std::vector<GroupedService> grouped;
  grouped.reserve(services.size());
  for (Configured& service : services) {
    grouped.push_back({.name = service.name,
                       .run =
                           [&service] {
                             locate_by(service.origin);
                             return service.commands->run();
                           },
                       .ready_fd = service.commands->service().ready_fd});
  }
  return grouped;
}

int run_services(const std::string& path, bool only_check) {
  const auto file = read_config(path, kCommands);
  if (!file) return complain_of_file("", file.error());
  if (file->sections.empty()) {
    const std::string what = path + ": there is no service: a table [[wrap]] or [[serve]]";
    return complain("", {kExitUsage, what});
  }
  std::vector<Configured> services;
  if (const auto ended = parse_sections(*file, services)) return *ended;
  if (const auto ended = check_addresses(services)) return *ended;
  const ServiceOptions& first = services.front().commands->service();
  const Log log(first.log_format, first.log_level);
  if (!only_check && services.size() == 1) {
    locate_by(services.front().origin);
    return services.front().commands->run();  // a process of its own, as it is
  }
  if (!only_check) return ServiceGroup(as_grouped(services), log).run();
  for (const Configured& service : services) service.commands->only_check();
  const int code = ServiceGroup(as_grouped(services), log).run_in_turn();
  if (code == kExitOk) {
    std::fprintf(stderr, "ktls-bridge: %s is good\n", path.c_str());
  }
  return code;
}

}  // namespace

int run_command_line(const std::vector<std::string>& words) {
  Commands given(Commands::Demand::kNothing);
  if (const auto ended = given.parse(words)) return *ended;
  const bool is_check = !given.checked_config().empty();
  if (is_check || !given.config().empty()) {
    if (!given.chosen().empty() || (is_check && !given.config().empty())) {
      return complain("", {kExitUsage,
                           "--config and --check-config before a command exclude each "
                           "other and the command: ktls-bridge wrap --config FILE"});
    }
    return run_services(is_check ? given.checked_config() : given.config(), is_check);
  }
  if (!given.command_config().empty()) return run_with_file(given, words);
  Commands commands(Commands::Demand::kAll);
  if (const auto ended = commands.parse(words)) return *ended;
  return commands.run();
}

}  // namespace tools
