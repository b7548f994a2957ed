// The flags of `ktls-bridge wrap`.

#include "tools/ktls-bridge/wrap_options.h"

#include <CLI/CLI.hpp>

#include "tools/ktls-bridge/certificate_flags.h"
#include "tools/ktls-bridge/duration_flag.h"
#include "tools/ktls-bridge/suite_flags.h"
#include "tools/ktls-bridge/ticket_flags.h"

namespace tools {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnectTimeout = std::chrono::seconds(5);
constexpr milliseconds kIdleTimeout = std::chrono::minutes(10);
// The TLS socket, what the program reads and what it writes where that is relayed, and itself.
constexpr std::size_t kProgramDescriptors = 4;

constexpr const char* kExamples = R"(Examples:
  # TLS in front of a plaintext service
  ktls-bridge wrap --listen 0.0.0.0:8443 --cert chain.pem --key key.pem --to 127.0.0.1:8080

  # On the sockets of a socket unit of systemd that are named https there
  ktls-bridge wrap --listen systemd:https --cert chain.pem --key key.pem --to 127.0.0.1:8080

  # A first try, with a certificate made on the spot (its fingerprint is printed)
  ktls-bridge wrap --listen localhost:8443 --to 127.0.0.1:8080

  # Certificates for several names, RSA beside ECDSA, each chosen by what the client asks for
  ktls-bridge wrap --listen :443 --cert-dir /etc/ktls-bridge/certs --to 127.0.0.1:8080

  # A plaintext client speaks to a remote TLS service, whose certificate is verified
  ktls-bridge wrap --client --listen 127.0.0.1:8080 --to example.org:443

  # The same with a certificate of its own, to a service whose key is known
  ktls-bridge wrap --client --listen 127.0.0.1:8080 --to example.org:443 --cert own.pem \
      --pin sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE=

  # A program for each connection, as tcpserver and inetd run theirs
  ktls-bridge wrap --listen :8443 --cert chain.pem --key key.pem --exec -- httpd -i -h /srv/www

  # In inetd.conf: the connection is there already
  ktls-bridge wrap --fd 0 --cert chain.pem --key key.pem -- httpd -i -h /srv/www

  # Devices that have a pre-shared key and no certificate
  ktls-bridge wrap --listen :8443 --psk keys.txt --ciphers PSK-AES128-CCM8 --to 127.0.0.1:8080

  # On each machine behind one address, which resume each other's sessions (48 or 80 random bytes)
  ktls-bridge wrap --listen :8443 --cert chain.pem --key key.pem --to 127.0.0.1:8080 \
      --ticket-keys current.key --ticket-keys next.key --ticket-keys previous.key

  # Between haproxy and nginx, which both tell the client's address
  ktls-bridge wrap --listen :8443 --accept-proxy --cert chain.pem --key key.pem \
      --to 127.0.0.1:8080 --send-proxy v2

  # Only if the kernel encrypts both ways; refuse the connection otherwise
  ktls-bridge wrap --listen [::]:8443 --cert chain.pem --key key.pem \
      --to unix:/run/app.sock --offload kernel

  # With counters for Prometheus, and an answer to health checks
  ktls-bridge wrap --listen :8443 --cert chain.pem --key key.pem --to 127.0.0.1:8080 \
      --metrics 127.0.0.1:9443

  # Port 443 and a key that only root reads, but not root's rights to serve with
  ktls-bridge wrap --listen :443 --cert chain.pem --key key.pem --to 127.0.0.1:8080 \
      --user nobody

Each connection ends with one line on standard error that says where each direction ran and why.
See ktls-bridge-wrap(1) for reason codes, exit codes and signals.)";

void add_addresses(CLI::App& app, WrapOptions& options) {
  add_listen_flag(app, "--listen",
                  "Where to accept connections; may be repeated. fd:N, systemd and "
                  "systemd:NAME are sockets that were inherited",
                  options.listen);
  app.add_option_function<std::string>(
         "--to", [&options](const std::string& text) { options.to = checked_address(text); },
         "Where each connection goes on to")
      ->type_name("ADDRESS");
  app.add_flag("--client", options.client,
               "Speak TLS to --to, plaintext to whoever connects to --listen");
  add_accept_proxy_flag(app, options.accept_proxy);
  add_send_proxy_flag(app, options.send_proxy);
}

void add_verification(CLI::App& app, WrapOptions& options) {
  app.add_option("--ca", options.ca_file,
                 "With --client: trust these certificates, PEM, instead of the system's")
      ->type_name("FILE")
      ->group("TLS");
  app.add_option("--crl", options.crl_file,
                 "With --ca: revocation lists, PEM, a current one of each authority in the peer's "
                 "chain")
      ->type_name("FILE")
      ->group("TLS");
  add_pin_flag(app, options.pins);
  app.add_option("--name", options.name,
                 "With --client: name or IP address that the peer's certificate must be for "
                 "(default: the host of --to)")
      ->type_name("NAME")
      ->group("TLS");
  app.add_flag("--insecure", options.insecure, "With --client: accept any certificate")
      ->group("TLS");
}

void add_limits(CLI::App& app, WrapOptions& options) {
  add_max_connections(app, options.service);
  add_max_per_address(app, options.connections_per_address);
  add_handshake_timeout(app, options.tls);
  add_duration(app,
               {.name = "--connect-timeout",
                .initial = kConnectTimeout,
                .least = kLeastTimeout,
                .text = "For each attempt to connect to --to"},
               options.connect_timeout);
  add_duration(app,
               {.name = "--idle-timeout",
                .initial = kIdleTimeout,
                .least = kLeastTimeout,
                .text = "End a connection on which nothing has moved for this long"},
               options.idle_timeout);
  add_drain_timeout(app, options.service);
}

ktls::Result<void> refuse(const std::string& detail) {
  return ktls::fail(ktls::Error::of(ktls::ErrorCode::kInvalidArgument, detail));
}

bool has_destination(const WrapOptions& options) {
  return options.to.kind == Address::Kind::kUnix ? !options.to.path.empty()
                                                 : options.to.port != 0 || !options.to.host.empty();
}

// --to, --exec or --fd; and --listen, unless the connection is there.
ktls::Result<void> validate_destination(const WrapOptions& options) {
  if (options.listen.empty() && !options.program.fd) {
    return refuse("--listen is missing: where to accept connections");
  }
  const bool has_to = has_destination(options);
  if (has_to && options.program.wanted()) {
    return refuse("--to, --exec and --fd exclude each other");
  }
  if (!has_to && !options.program.wanted()) {
    return refuse("one of --to, --exec and --fd says where connections go");
  }
  if (options.client && options.program.wanted()) {
    return refuse("--client needs --to: with --exec and --fd the peer is a TLS client");
  }
  if (options.send_proxy && options.program.wanted()) {
    return refuse("--send-proxy needs --to: a program learns who its peer is from its environment");
  }
  if (options.program.fd && !options.listen.empty()) {
    return refuse("--listen and --fd exclude each other");
  }
  if (options.program.fd && !options.service.metrics.empty()) {
    return refuse("--metrics and --fd exclude each other: one connection is told of by its line");
  }
  if (options.program.fd && options.service.ready_fd) {
    return refuse("--ready-fd needs --listen: with --fd the connection is there already");
  }
  if (options.program.fd && options.check) {
    return refuse("--check and --fd exclude each other: the connection is there, and waits");
  }
  return {};
}

ktls::Result<void> validate_role(const WrapOptions& options) {
  if (!options.client) {
    if (!options.ca_file.empty() || !options.name.empty() || options.insecure) {
      return refuse("--ca, --name and --insecure need --client");
    }
    if (!options.crl_file.empty() || !options.pins.empty()) {
      return refuse("--crl and --pin need --client");
    }
    return {};
  }
  if (!options.tls.certificate_directory.empty() || !options.tls.ocsp_files.empty() ||
      !options.tls.client_ca_file.empty()) {
    return refuse(
        "--cert-dir, --ocsp and --client-ca are for the server role: leave them out with --client");
  }
  if (options.ca_file.empty() && !options.crl_file.empty()) return refuse("--crl needs --ca");
  if (has_ticket_flags(options.tls)) {
    return refuse(
        "--ticket-keys and --tickets are for the server role: leave them out with "
        "--client");
  }
  if (options.insecure && !options.ca_file.empty()) {
    return refuse("--insecure and --ca exclude each other");
  }
  if (options.name.empty() && options.to.host.empty() && !options.insecure) {
    return refuse("--to has no host to verify: give --name NAME");
  }
  return {};
}

}  // namespace

void add_wrap_command(CLI::App& app, WrapOptions& options) {
  CLI::App* wrap = app.add_subcommand(
      "wrap", "Put a TCP or unix service behind TLS, or speak TLS for a plaintext client");
  wrap->footer(kExamples);
  add_addresses(*wrap, options);
  add_credential_flags(*wrap, options.tls);
  add_verification(*wrap, options);
  add_client_flags(*wrap, options.tls);
  add_psk_flag(*wrap, options.tls);
  add_program_flags(*wrap, options.program);
  add_alpn_flag(*wrap, options.tls);
  add_protocol_flags(*wrap, options.tls);
  add_ticket_flags(*wrap, options.tls);
  add_offload_flag(*wrap, options.tls);
  add_loop_flags(*wrap, options.service);
  add_limits(*wrap, options);
  add_key_flags(*wrap, options.tls);
  add_metrics_flag(*wrap, options.service);
  add_ready_flag(*wrap, options.service);
  add_log_flags(*wrap, options.service);
  add_hardening_flags(*wrap, options.service.hardening);
  wrap->parse_complete_callback([&options] {
    if (options.program.exec) options.service.descriptors_per_connection = kProgramDescriptors;
    options.tls.tls12_without_rekey = options.program.no_rekey == NoRekey::kTls12;
  });
  wrap->add_flag("--check", options.check,
                 "Check files, addresses and that --to can be reached, then exit; beside a "
                 "service that runs, too");
}

ktls::Result<void> validate(const WrapOptions& options) {
  if (auto valid = validate_destination(options); !valid) return valid;
  if (auto valid = validate_role(options); !valid) return valid;
  if (auto valid = validate(options.program); !valid) return valid;
  if (auto valid = validate(options.service.hardening); !valid) return valid;
  if (options.program.wanted()) return validate(options.tls);
  if (options.to.kind == Address::Kind::kTcp && options.to.port == 0) {
    return refuse("--to " + options.to.text() + ": port 0 cannot be connected to");
  }
  return validate(options.tls);
}

}  // namespace tools
