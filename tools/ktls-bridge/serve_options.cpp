// The flags of `ktls-bridge serve`.

#include "tools/ktls-bridge/serve_options.h"

#include <algorithm>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/proxy_flags.h"
#include "tools/ktls-bridge/suite_flags.h"
#include "tools/ktls-bridge/ticket_flags.h"

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRequestTimeout = std::chrono::seconds(10);
constexpr milliseconds kKeepAlive = std::chrono::seconds(60);
constexpr milliseconds kSendTimeout = std::chrono::seconds(30);
constexpr std::uint64_t kRateLeast = 1024;
constexpr std::uint64_t kRequestsMax = 10'000;
constexpr std::size_t kHeadSizeLeast = 1024;
constexpr std::size_t kHeadSizeMost = 65'536;
constexpr std::size_t kPerAddress = 256;

constexpr const char* kExamples = R"(Examples:
  # A directory over HTTPS, with a certificate made on the spot for a first try
  ktls-bridge serve ./public --listen :8443

  # For real: a certificate, a redirect from plain HTTP, an access log
  ktls-bridge serve /srv/www --listen :443 --cert chain.pem --key key.pem \
      --http :80 --access-log /var/log/ktls-bridge/access.log

  # A second site by name, and how long what is never changed may be kept
  ktls-bridge serve /srv/www --listen :443 --cert chain.pem --key key.pem \
      --host media.example.org=/srv/media,media.pem,media.key \
      --cache '/assets/**=public, max-age=31536000, immutable'

  # A listing of files to be fetched
  ktls-bridge serve ~/share --listen :8443 --listing

Each response says in the access log where it was encrypted. See ktls-bridge-serve(1).)";

// A result of parsing one value, as CLI11 has errors.
template <class T>
T checked(const std::string& flag, ktls::Result<T> result) {
  if (!result) throw CLI::ValidationError(flag, result.error().message());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void add_host(ServeOptions& options, const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    throw CLI::ValidationError("--host", "'" + text + "' " + why);
  };
  const std::size_t equals = text.find('=');
  const std::size_t first = text.find(',', equals == std::string::npos ? 0 : equals);
  const std::size_t second = first == std::string::npos ? first : text.find(',', first + 1);
  if (equals == std::string::npos || second == std::string::npos ||
      text.find(',', second + 1) != std::string::npos) {
    refuse("is not NAME=DIR,CERT,KEY");
  }
  std::string directory = text.substr(equals + 1, first - equals - 1);
  tls::Host credentials{.name = text.substr(0, equals),
                        .certificate_file = text.substr(first + 1, second - first - 1),
                        .key_file = text.substr(second + 1)};
  if (directory.empty() || credentials.certificate_file.empty()) {
    refuse("is not NAME=DIR,CERT,KEY");
  }
  checked("--host", options.host_names.add(credentials.name));
  options.host_directories.push_back(std::move(directory));
  options.tls.hosts.push_back(std::move(credentials));
}

void add_addresses(CLI::App& app, ServeOptions& options) {
  app.add_option("DIR", options.directory, "The directory that is served")
      ->type_name("PATH")
      ->required();
  add_listen_flag(app, "--listen",
                  "Where to accept HTTPS; may be repeated. fd:N, systemd and systemd:NAME "
                  "are sockets that were inherited",
                  options.listen)
      ->required();
  add_listen_flag(app, "--http", "Where to accept plain HTTP, which is redirected to HTTPS",
                  options.redirect_from);
  add_accept_proxy_flag(app, options.accept_proxy);
  app.add_option_function<std::vector<std::string>>(
         "--host",
         [&options](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) add_host(options, text);
         },
         "A site by name, with its own directory and certificate; may be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME=DIR,CERT,KEY");
}

void add_documents(CLI::App& app, ServeOptions& options) {
  http::DocumentPolicy& documents = options.policy.documents;
  static const std::map<std::string, http::SymlinkPolicy> kPolicies = {
      {"inside", http::SymlinkPolicy::kBeneath}, {"never", http::SymlinkPolicy::kNever}};
  app.add_option("--index", documents.index_names, "Names of a directory's own page, in order")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("LIST")
      ->default_str("index.html")
      ->group("Files");
  app.add_flag("--listing", options.policy.listing, "List directories that have no such page")
      ->group("Files");
  app.add_flag("--dot-files", documents.dot_files,
               "Serve names that begin with a dot, too; /.well-known/ always is")
      ->group("Files");
  app.add_option_function<std::string>(
         "--symlinks",
         [&documents](const std::string& text) { documents.symlinks = kPolicies.at(text); },
         "Follow symbolic links that stay below their site's directory, or none")
      ->check(CLI::IsMember({"inside", "never"}).description(""))
      ->type_name("inside|never")
      ->default_str("inside")
      ->group("Files");
  app.add_flag_callback(
         "--no-precompressed", [&options] { options.policy.precompressed = false; },
         "Send no FILE.zst, FILE.br or FILE.gz in the place of FILE to clients that take them")
      ->group("Files");
  app.add_flag_callback(
         "--files-never-change", [&options] { options.content = bridge::Content::kFixed; },
         "Your word that no file changes while it is sent: a network card that encrypts may take "
         "any from memory as it is, not only what fs-verity or a read-only file system fixes")
      ->group("Files");
}

template <class Take>
void add_list(CLI::App& app, const std::string& flag, const std::string& type,
              const std::string& text, Take take) {
  app.add_option_function<std::vector<std::string>>(
         flag,
         [take](const std::vector<std::string>& texts) {
           for (const std::string& each : texts) take(each);
         },
         text)
      ->allow_extra_args(false)
      ->type_name(type)
      ->group("Responses");
}

void add_responses(CLI::App& app, ServeOptions& options) {
  http::SitePolicy& policy = options.policy;
  add_list(
      app, "--cache", "PATTERN=VALUE",
      "Cache-Control of paths that match, the first one counts; may be repeated",
      [&policy](const std::string& text) { checked("--cache", policy.cache_rules.add(text)); });
  add_list(app, "--header", "NAME:VALUE", "A field for every response; may be repeated",
           [&policy](const std::string& text) {
             policy.headers.push_back(checked("--header", http::parse_own_header(text)));
           });
  add_list(app, "--type", "EXT=TYPE", "The media type of an extension; may be repeated",
           [&options](const std::string& text) { options.media_types.push_back(text); });
  app.add_option_function<std::uint64_t>(
         "--hsts",
         [&policy](std::uint64_t seconds) {
           policy.headers.push_back({.name = "Strict-Transport-Security",
                                     .value = "max-age=" + std::to_string(seconds)});
         },
         "Have browsers use HTTPS alone for so many seconds (RFC 6797)")
      ->check(not_negative())
      ->type_name("SECONDS")
      ->group("Responses");
}

void add_limits(CLI::App& app, ServeOptions& options) {
  add_max_connections(app, options.service);
  options.connections_per_address = kPerAddress;
  add_max_per_address(app, options.connections_per_address);
  options.requests_max = kRequestsMax;
  app.add_option("--max-requests", options.requests_max, "Requests of one connection")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}).description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Limits");
  app.add_option("--max-head", options.request.head_size_max, "Bytes of a request's head")
      ->check(CLI::Range(kHeadSizeLeast, kHeadSizeMost).description(""))
      ->type_name("BYTES")
      ->capture_default_str()
      ->group("Limits");
  options.pace.rate_least = kRateLeast;
  app.add_option("--min-rate", options.pace.rate_least,
                 "Cut off a client that takes fewer bytes a second; 0: any will do")
      ->check(not_negative())
      ->type_name("BYTES")
      ->capture_default_str()
      ->group("Limits");
  add_handshake_timeout(app, options.tls);
  const auto add = [&app](const char* name, milliseconds initial, const char* text,
                          milliseconds& value) {
    add_duration(app, {.name = name, .initial = initial, .least = kLeastTimeout, .text = text},
                 value);
  };
  add("--request-timeout", kRequestTimeout, "For the head of a request, from its first byte",
      options.request_timeout);
  add("--keep-alive", kKeepAlive, "For the next request to begin, and the first",
      options.keep_alive);
  add("--send-timeout", kSendTimeout, "For a client to take anything at all of what is sent",
      options.pace.grace);
  add_drain_timeout(app, options.service);
}

void add_access_log(CLI::App& app, ServeOptions& options) {
  app.add_option("--access-log", options.access_log,
                 "One line for each response; - is standard output. SIGHUP opens it anew")
      ->type_name("FILE")
      ->group("Log");
  app.add_option_function<std::string>(
         "--access-log-format",
         [&options](const std::string& text) {
           options.access_log_format =
               checked("--access-log-format", http::parse_access_log_format(text));
         },
         "common, combined, json; common+tx and combined+tx end with where it was encrypted")
      ->type_name("FORMAT")
      ->default_str("combined+tx")
      ->group("Log");
}

}  // namespace

void add_serve_command(CLI::App& app, ServeOptions& options) {
  options.access_log_format = {.kind = http::AccessLogFormat::Kind::kCombined, .with_tx = true};
  // Named, so that a handshake for another protocol never ends here (RFC 7301, RFC 9325
  // section 3.7); curl asks for HTTP/1.0 by name.
  options.tls.alpn = {"http/1.1", "http/1.0"};
  CLI::App* serve = app.add_subcommand("serve", "Serve the files of a directory over HTTPS");
  serve->footer(kExamples);
  add_addresses(*serve, options);
  add_credential_flags(*serve, options.tls);
  add_client_flags(*serve, options.tls);
  add_psk_flag(*serve, options.tls);
  add_protocol_flags(*serve, options.tls);
  add_ticket_flags(*serve, options.tls);
  add_documents(*serve, options);
  add_responses(*serve, options);
  add_offload_flag(*serve, options.tls);
  add_loop_flags(*serve, options.service);
  add_limits(*serve, options);
  add_key_flags(*serve, options.tls);
  add_ready_flag(*serve, options.service);
  add_access_log(*serve, options);
  add_metrics_flag(*serve, options.service);
  add_log_flags(*serve, options.service);
  add_hardening_flags(*serve, options.service.hardening);
  serve->add_flag("--check", options.check,
                  "Check files and addresses, then exit; beside a service that runs, too");
}

ktls::Result<void> validate(const ServeOptions& options) {
  const auto refuse = [](const char* what) {
    return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, what));
  };
  const auto is_unix = [](const Address& address) { return address.kind == Address::Kind::kUnix; };
  if (!options.redirect_from.empty() && std::ranges::all_of(options.listen, is_unix)) {
    return refuse("--http needs a --listen with a port to redirect to");
  }
  if (auto valid = validate(options.service.hardening); !valid) return valid;
  return validate(options.tls);
}

}  // namespace tools
