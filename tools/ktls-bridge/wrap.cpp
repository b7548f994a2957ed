// `ktls-bridge wrap`: sets everything up on one thread, so that each mistake gets its one line and
// exit code before anything is served; then waits for signals.

#include "tools/ktls-bridge/wrap.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tools/common/exit_code.h"
#include "tools/common/keylog_file.h"
#include "tools/ktls-bridge/wrap_worker.h"
#include "userspace/suite/cipher_suite.h"

namespace tools {
namespace {

using ktls::Error;
using ktls::ErrorCode;
using ktls::Result;
using ktls::UniqueFd;

// A connection has two sockets. Pipes are wanted on top while data moves, and done without where
// there are none left.
constexpr std::size_t kDescriptorsPerConnection = 2;
constexpr std::size_t kDescriptorsBesides = 64;
// Each direction has a buffer that came and one that goes. With as many as that for each, nobody
// can wait for a buffer while holding one.
constexpr std::size_t kBuffersPerConnection = 4;

// The socket files that were made, and are removed when nobody listens on them any more.
class SocketFiles {
 public:
  SocketFiles() = default;
  SocketFiles(const SocketFiles&) = delete;
  SocketFiles& operator=(const SocketFiles&) = delete;
  ~SocketFiles() { remove(); }

  void add(std::string path) { paths_.push_back(std::move(path)); }
  void remove() {
    for (const std::string& path : std::exchange(paths_, {})) ::unlink(path.c_str());
  }

 private:
  std::vector<std::string> paths_;
};

// Everything that lives as long as the program serves.
struct Wrap {
  explicit Wrap(const WrapOptions& given) : options(given), log(given.log_format, given.log_level) {
    setting.options = &options;
    setting.log = &log;
  }

  const WrapOptions& options;
  Log log;
  std::unique_ptr<KeylogFile> keylog;
  WrapSetting setting;
  SocketFiles socket_files;
  std::vector<std::string> listening;  // each address once, with the port that it got
  std::vector<std::unique_ptr<WrapWorker>> workers;
};

int complain(ExitCode code, const std::string& what) {
  std::fprintf(stderr, "ktls-bridge wrap: %s\n", one_line(what).c_str());
  return code;
}

int make_context(Wrap& wrap) {
  const WrapOptions& options = wrap.options;
  tls::KeylogSink sink;
  if (!options.keylog_file.empty()) {
    auto opened = KeylogFile::open(options.keylog_file);
    if (!opened) return complain(kExitCannotCreate, "--keylog " + opened.error().message());
    wrap.keylog = *std::move(opened);
    sink = [keylog = wrap.keylog.get(), &log = wrap.log](std::string_view line) {
      keylog->append(line, log);
    };
    wrap.log.write(LogLevel::kWarning, "keylog",
                   {{"file", options.keylog_file},
                    {"hint", std::string("whoever reads this file reads the traffic")}});
  }
  Result<std::shared_ptr<tls::Context>> context =
      options.client ? tls::Context::client({.ca_file = options.ca_file,
                                             .verify = !options.insecure,
                                             .alpn = options.alpn,
                                             .ciphers = {},
                                             .ciphersuites = {},
                                             .keylog = sink})
                     : tls::Context::server({.certificate_file = options.certificate_file,
                                             .key_file = options.key_file,
                                             .alpn = options.alpn,
                                             .ciphers = {},
                                             .ciphersuites = {},
                                             .keylog = sink});
  if (!context) {
    const bool unreadable = context.error().code == ErrorCode::kSystem;
    return complain(unreadable ? kExitNoInput : kExitBadCertificate, context.error().message());
  }
  wrap.setting.context = *std::move(context);
  wrap.setting.server_name =
      !options.client ? std::string() : (options.name.empty() ? options.to.host : options.name);
  return kExitOk;
}

int check_kernel(Wrap& wrap) {
  wrap.setting.capability = ktls::probe(tls::handshake_kernel_ciphers());
  const ktls::Capability& capability = wrap.setting.capability;
  if (wrap.options.offload != bridge::OffloadPolicy::kRequireKernel ||
      capability.attach_errno == 0) {
    return kExitOk;
  }
  const ktls::ReasonText& text = ktls::text_of(ktls::reason_of_attach(capability.attach_errno));
  std::string what("--offload kernel: ");
  what.append(text.code).append(": ").append(text.sentence).append("; ").append(text.remedy);
  return complain(kExitUnavailable, what);
}

// Each thread has a listening socket of its own, among which the kernel spreads the connections.
// A unix socket cannot be shared so: all threads accept from the one there is.
Result<std::vector<std::vector<UniqueFd>>> make_listeners(const WrapOptions& options,
                                                          SocketFiles& socket_files) {
  std::vector<std::vector<UniqueFd>> per_thread(options.threads);
  for (const Address& address : options.listen) {
    KTLS_TRY(std::vector<SocketAddress> found, resolve(address, true));
    for (SocketAddress& each : found) {
      const bool is_shared = options.threads > 1 && each.family() != AF_UNIX;
      if (is_shared) {
        // SO_REUSEPORT would join a port that another program of this user listens on.
        KTLS_TRY(const UniqueFd alone, listen_on(each, false));
        KTLS_TRY(each, local_address(alone.get()));
      }
      KTLS_TRY(UniqueFd first, listen_on(each, is_shared));
      if (each.family() == AF_UNIX) socket_files.add(address.path);
      for (std::size_t i = 1; i < per_thread.size(); ++i) {
        if (is_shared) {
          KTLS_TRY(UniqueFd next, listen_on(each, true));
          per_thread[i].push_back(std::move(next));
        } else {
          UniqueFd copy(::fcntl(first.get(), F_DUPFD_CLOEXEC, 0));
          if (!copy) return ktls::fail(Error::system(errno, "fcntl(F_DUPFD_CLOEXEC)"));
          per_thread[i].push_back(std::move(copy));
        }
      }
      per_thread[0].push_back(std::move(first));
    }
  }
  return per_thread;
}

int make_workers(Wrap& wrap, int stopped) {
  const WrapOptions& options = wrap.options;
  auto listeners = make_listeners(options, wrap.socket_files);
  if (!listeners) {
    const bool unknown = listeners.error().code == ErrorCode::kInvalidArgument;
    return complain(unknown ? kExitNoHost : kExitOsError, listeners.error().message());
  }
  for (unsigned i = 0; i < options.threads; ++i) {
    const std::size_t share =
        std::max<std::size_t>((options.max_connections + i) / options.threads, 1);
    auto loop = bridge::Loop::create(
        options.loop, {.buffers_max = share * kBuffersPerConnection, .pipes_max = share * 2});
    if (!loop) {
      const bool is_demanded = options.loop == bridge::LoopKind::kIoUring;
      return complain(is_demanded ? kExitUnavailable : kExitOsError,
                      "--loop: " + loop.error().message());
    }
    if (i == 0) {
      for (const UniqueFd& each : listeners->front()) {
        wrap.listening.push_back(local_text(each.get()));
      }
    }
    wrap.workers.push_back(std::make_unique<WrapWorker>(
        wrap.setting, *std::move(loop), std::move((*listeners)[i]), share, [stopped] {
          const std::uint64_t one = 1;
          static_cast<void>(!::write(stopped, &one, sizeof one));
        }));
  }
  return kExitOk;
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void warn_of_descriptor_limit(const Wrap& wrap) {
  const std::size_t wanted =
      wrap.options.max_connections * kDescriptorsPerConnection + kDescriptorsBesides;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  wrap.log.write(LogLevel::kWarning, "limits",
                 {{"open_files", std::uint64_t{limit.rlim_cur}},
                  {"wanted", std::uint64_t{wanted}},
                  {"hint", std::string("raise ulimit -n or lower --max-connections")}});
}

void announce(const Wrap& wrap) {
  const WrapSetting& setting = wrap.setting;
  const bridge::Loop& loop = wrap.workers.front()->loop();
  LogFields fields = {{"loop", std::string(bridge::name_of(loop.kind()))}};
  if (!loop.why().empty()) fields.emplace_back("loop_reason", loop.why());
  fields.emplace_back("threads", std::uint64_t{wrap.options.threads});
  const bool kernel = setting.capability.attach_errno == 0;
  fields.emplace_back("kernel_tls", kernel);
  if (kernel) {
    fields.emplace_back("kernel_rekey", setting.capability.rekey);
  } else {
    const ktls::ReasonText& text =
        ktls::text_of(ktls::reason_of_attach(setting.capability.attach_errno));
    fields.emplace_back("reason", std::string(text.code));
    fields.emplace_back("remedy", std::string(text.remedy));
  }
  warn_of_descriptor_limit(wrap);
  for (const std::string& address : wrap.listening) {
    wrap.log.write(LogLevel::kInfo, "listening", {{"address", address}});
  }
  for (const std::string& warning : setting.context->warnings()) {
    wrap.log.write(LogLevel::kWarning, "certificate", {{"detail", warning}});
  }
  wrap.log.write(LogLevel::kInfo, "ready", fields);
  if (!wrap.options.client && wrap.options.certificate_file.empty()) {
    wrap.log.write(LogLevel::kWarning, "self_signed",
                   {{"sha256", setting.context->certificate_fingerprint()},
                    {"hint", std::string("for a first try only: clients cannot verify it")}});
  }
}

// Waits for a signal or for the last worker. The second signal ends the program at once.
int serve(Wrap& wrap, int signals, int stopped) {
  for (const auto& worker : wrap.workers) {
    if (auto started = worker->start(); !started) {
      for (const auto& each : wrap.workers) each->drain();
      return complain(kExitOsError, started.error().message());
    }
  }
  std::size_t running = wrap.workers.size();
  bool draining = false;
  while (running != 0) {
    pollfd waits[2] = {{signals, POLLIN, 0}, {stopped, POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) continue;  // EINTR: a signal that is not ours
    if (waits[1].revents != 0) {
      std::uint64_t count = 0;
      if (::read(stopped, &count, sizeof count) == sizeof count) running -= count;
    }
    if (waits[0].revents == 0) continue;
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info) continue;
    const std::string name = ::sigabbrev_np(static_cast<int>(info.ssi_signo));
    if (std::exchange(draining, true)) {
      wrap.log.write(LogLevel::kWarning, "exit", {{"signal", "SIG" + name}});
      std::_Exit(128 + static_cast<int>(info.ssi_signo));
    }
    wrap.log.write(LogLevel::kInfo, "draining", {{"signal", "SIG" + name}});
    // Before the listeners are closed: from then on the path is free for a successor.
    wrap.socket_files.remove();
    for (const auto& worker : wrap.workers) worker->drain();
  }
  std::uint64_t cut_off = 0;
  bool failed = false;
  for (const auto& worker : wrap.workers) {
    worker->join();
    cut_off += worker->cut_off();
    failed = failed || worker->failed();
  }
  wrap.log.write(LogLevel::kInfo, "stopped", {{"cut_off", cut_off}});
  return failed ? kExitOsError : kExitOk;
}

// What --check adds to the set-up: one connection to --to, closed at once.
int check_destination(const Wrap& wrap) {
  const auto reached = connect_within(wrap.setting.to, wrap.options.connect_timeout);
  if (!reached) return complain(kExitUnavailable, reached.error().message());
  std::fprintf(stderr, "ktls-bridge wrap: the configuration is good\n");
  return kExitOk;
}

}  // namespace

int run_wrap(const WrapOptions& options) {
  if (const auto valid = validate(options); !valid) {
    return complain(kExitUsage, valid.error().message());
  }
  // Before any thread is made, so that every thread leaves the signals to signalfd.
  sigset_t handled;
  ::sigemptyset(&handled);
  ::sigaddset(&handled, SIGTERM);
  ::sigaddset(&handled, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &handled, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const UniqueFd signals(::signalfd(-1, &handled, SFD_CLOEXEC));
  const UniqueFd stopped(::eventfd(0, EFD_CLOEXEC));
  if (!signals || !stopped)
    return complain(kExitOsError, Error::system(errno, "signalfd").message());

  Wrap wrap(options);
  raise_descriptor_limit();
  if (const int code = make_context(wrap); code != kExitOk) return code;
  if (const int code = check_kernel(wrap); code != kExitOk) return code;
  auto to = resolve(options.to, false);
  if (!to) return complain(kExitNoHost, "--to: " + to.error().message());
  wrap.setting.to = *std::move(to);
  if (const int code = make_workers(wrap, stopped.get()); code != kExitOk) return code;
  if (options.check) return check_destination(wrap);
  announce(wrap);
  return serve(wrap, signals.get(), stopped.get());
}

}  // namespace tools
