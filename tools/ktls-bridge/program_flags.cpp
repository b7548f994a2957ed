// The flags of programs.

#include "tools/ktls-bridge/program_flags.h"

#include <map>

#include <CLI/CLI.hpp>

namespace tools {
namespace {

constexpr int kDescriptorMax = 1 << 20;
constexpr const char* kGroup = "Program";

ktls::Result<void> refuse(const std::string& detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

}  // namespace

bridge::OffloadPolicy policy_of(bridge::OffloadPolicy asked, NoRekey no_rekey) {
  if (asked != bridge::OffloadPolicy::kAuto) return asked;
  return no_rekey == NoRekey::kRelay ? bridge::OffloadPolicy::kRekeyable
                                     : bridge::OffloadPolicy::kRequireKernel;
}

void add_program_flags(CLI::App& app, ProgramOptions& options) {
  static const std::map<std::string, ReadMode> read_modes = {{"guarded", ReadMode::kGuarded},
                                                             {"direct", ReadMode::kDirect}};
  app.add_flag("--exec", options.exec,
               "Run PROGRAM for each connection, with the connection as its descriptors 0 and 1")
      ->group(kGroup);
  app.add_option_function<int>(
         "--fd", [&options](const int& fd) { options.fd = fd; },
         "Run PROGRAM for the connected socket that was inherited as descriptor N, and which it "
         "gets as the same")
      ->check(CLI::Range(0, kDescriptorMax).description(""))
      ->type_name("N")
      ->group(kGroup);
  app.add_option_function<std::string>(
         "--read", [&options](const std::string& text) { options.read = read_modes.at(text); },
         "What the program reads from: guarded (a stream without control records) or direct (the "
         "TLS socket, as always where it has one descriptor)")
      ->check(CLI::IsMember({"guarded", "direct"}).description(""))
      ->type_name("guarded|direct")
      ->default_str("guarded")
      ->group(kGroup);
  add_no_rekey_flag(app, options.no_rekey);
  app.add_option("PROGRAM", options.words,
                 "With --exec or --fd, after --: the program and its arguments")
      ->expected(-1)
      ->type_name("[ARG]");
}

void add_no_rekey_flag(CLI::App& app, NoRekey& no_rekey) {
  static const std::map<std::string, NoRekey> no_rekeys = {
      {"kernel", NoRekey::kKernel}, {"relay", NoRekey::kRelay}, {"tls12", NoRekey::kTls12}};
  app.add_option_function<std::string>(
         "--no-rekey", [&no_rekey](const std::string& text) { no_rekey = no_rekeys.at(text); },
         "Where the kernel cannot change keys: kernel (a KeyUpdate ends the connection), relay "
         "(the program gets a stream that is relayed), tls12 (agree on no newer version)")
      ->check(CLI::IsMember({"kernel", "relay", "tls12"}).description(""))
      ->type_name("kernel|relay|tls12")
      ->default_str("kernel")
      ->group(kGroup);
}

ktls::Result<void> validate(const ProgramOptions& options) {
  if (options.exec && options.fd) return refuse("--exec and --fd exclude each other");
  if (!options.wanted()) {
    if (!options.words.empty()) {
      return refuse(options.words.front() + ": a program needs --exec or --fd");
    }
    if (options.read || options.no_rekey != NoRekey::kKernel) {
      return refuse("--read and --no-rekey need --exec or --fd");
    }
    return {};
  }
  if (options.words.empty()) {
    return refuse(std::string(options.exec ? "--exec" : "--fd N") + " needs a program: -- PROGRAM");
  }
  if (options.fd == 2) return refuse("--fd 2: standard error is for messages");
  return {};
}

}  // namespace tools
